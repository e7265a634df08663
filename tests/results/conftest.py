"""Two models' runs of lm-eval to compare, and one small experiment."""

from pathlib import Path

import pytest

from tests import lm_eval_runs
from tests.report.conftest import copy, folder, model, results  # noqa: F401

harness, runs = lm_eval_runs.harness, lm_eval_runs.runs


@pytest.fixture(scope="session")
def think(harness) -> Path:
    """Model a on the same items with another prompt."""
    return harness.run("a", "think", prompt="plus ")


@pytest.fixture(scope="session")
def short(harness) -> Path:
    """Model b on the first ten items."""
    return harness.run("b", "short", limit=10)


@pytest.fixture(scope="session")
def mirrored(harness) -> Path:
    """Model a on perturbed items, of which two could not be made."""
    return harness.run("a", "mirrored", perturbed=True)


@pytest.fixture(scope="session")
def paths(runs, think, short, mirrored) -> dict[str, str]:
    (one_file,) = runs["b"].rglob("samples_rv_generate_*.jsonl")
    named = {**runs, "think": think, "short": short, "mirrored": mirrored, "file": one_file}
    return {name: str(path) for name, path in named.items()} | {"nowhere": "nowhere"}
