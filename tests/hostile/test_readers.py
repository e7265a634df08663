"""Whatever the bytes of a stranger's file are, its reader takes them or refuses them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import REPOSITORY
from tests.hostile.guided import NAMES
from tests.hostile.targets import TARGETS

SHARE = "1"


@pytest.fixture(scope="module")
def survived() -> dict[str, dict[str, int]]:
    """Each target's counts, or its crash, from one process under a limit of memory."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.hostile.seeded", SHARE],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return {line["target"]: line for line in map(json.loads, run.stdout.splitlines())}


@pytest.mark.parametrize("name", NAMES)
def test_spoiled_bytes_are_read_or_refused(
    name: str, survived: dict[str, dict[str, int]], record_property: Callable[[str, str], None]
) -> None:
    found = survived[name]
    assert "crash" not in found, found["crash"]
    record_property("fuzzed", f"{name}: {found['cases']} inputs, 0 crashes")
    assert found["refused"] > found["cases"] // 10


def test_every_target_is_fuzzed_both_ways() -> None:
    assert list(TARGETS) == list(NAMES)
