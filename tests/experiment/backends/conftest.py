"""One vLLM engine for all tests of it, where vLLM is installed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rvec_merge as rv
from rvec_merge.recipe.read import read_recipe
from tests.experiment.backends.vllm_on_a_cpu import RECIPE, loaded


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    recipe = read_recipe(RECIPE)
    made = loaded(Path(recipe.config.target.model.path), recipe)
    yield made
    made.close()


@pytest.fixture(scope="session")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("merged") / "out"
    rv.merge(str(RECIPE), out)
    return out
