"""A small plan for the embedded family, and what it finds when nothing goes wrong."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.engines.base import Failed
from rvec_merge.experiment.store import CellResult, Store

REPOSITORY = Path(__file__).resolve().parents[2]
# 11 cells of 16 items: two scales to choose from, and at least one of every kind of condition.
PLAN: dict[str, Any] = {
    "recipe": "recipes/tiny.yaml",
    "tasks": [{"task": "rvec_tiny", "validation": "rvec_tiny_validation"}],
    "prompts": ["plain"],
    "perturbations": ["typos"],
    "scales": [0.5, 1.0],
    "controls": {"random": 1, "permuted": 0},
    "selection": {"by": "validation"},
    "donors": False,
    "subtract": False,
    "forced_steps": True,
    "limit": 16,
    "batch_size": 16,
}


@pytest.fixture(scope="session", autouse=True)
def _in_the_repository() -> Any:
    """The recipe's paths are relative to it."""
    before = Path.cwd()
    os.chdir(REPOSITORY)
    yield
    os.chdir(before)


@pytest.fixture
def plan_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a plan: the small one with some keys changed."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump({**PLAN, **changes}))
        return path

    return write


@dataclass
class Log:
    """A watch that remembers."""

    begun: list[Cell] = field(default_factory=list)
    finished: list[Cell] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)

    def done(self, cell: Cell, result: CellResult) -> None:
        self.finished.append(cell)

    def failed(self, failure: Failed) -> None:
        self.failures.append(failure)


def run_local(plan: Path, out: Path) -> Log:
    """The experiment in this process."""
    from rvec_merge.experiment.backends.hf import Transformers
    from rvec_merge.experiment.engines.local import LocalEngine
    from rvec_merge.experiment.run import prepare, run
    from rvec_merge.experiment.runner import CellRunner
    from rvec_merge.results.tables import write_summary

    experiment, store, log = prepare(plan), Store(out), Log()
    runner = CellRunner(experiment.plan, experiment.recipe, experiment.book, Transformers("cpu"))
    with store.writing(experiment.head()):
        engine = LocalEngine(runner, log.begun.append)
        scale, results = run(experiment, engine, runner, store, log)
        write_summary(experiment, scale, results, store)
    return log


@pytest.fixture
def local() -> Callable[[Path, Path], Log]:
    return run_local


@dataclass(frozen=True)
class Finished:
    folder: Path
    log: Log

    def summary(self) -> bytes:
        return (self.folder / "summary.json").read_bytes()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The small plan, run to its end in one go; read-only, shared by the session."""
    root = tmp_path_factory.mktemp("finished")
    (root / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    return Finished(root / "results", run_local(root / "plan.yaml", root / "results"))


KILLED = """
import os, signal
from rvec_merge.cli import main
from rvec_merge.experiment.store import Store

add, filed = Store.add, []

def dying(store, *arguments):
    filed.append(add(store, *arguments))
    if len(filed) == {cells}:
        os.kill(os.getpid(), signal.SIGKILL)
    return filed[-1]

Store.add = dying
main()
"""


@pytest.fixture
def killed() -> Callable[..., None]:
    """Run ``rvec experiment`` in a process that ends by SIGKILL once so many cells are filed."""

    def run(cells: int, *arguments: object) -> None:
        code = KILLED.format(cells=cells)
        command = [sys.executable, "-c", code, "experiment", *map(str, arguments)]
        done = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr

    return run


def cells_in(folder: Path) -> list[str]:
    """The finished cells of a results folder."""
    return sorted(p.name for p in folder.glob("cells/*") if not p.name.startswith("."))


@pytest.fixture(name="cells_in")
def _cells_in() -> Callable[[Path], list[str]]:
    return cells_in


@pytest.fixture
def broken_recipe(tmp_path: Path) -> Path:
    """A recipe whose SFT donor holds a NaN: what needs it raises, the rest does not."""
    import shutil

    from safetensors.torch import load_file, save_file

    recipe = yaml.safe_load((REPOSITORY / "recipes/tiny.yaml").read_text())
    donor = shutil.copytree(REPOSITORY / "demo/family/sft", tmp_path / "sft")
    tensors = load_file(donor / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, donor / "model.safetensors", {"format": "pt"})
    recipe["models"][1]["model"] = str(donor)
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture
def own_family(tmp_path: Path) -> dict[str, Any]:
    """A recipe over a copy of the family."""
    shutil.copytree(REPOSITORY / "demo/family", tmp_path / "family")
    recipe = yaml.safe_load((REPOSITORY / "recipes/tiny.yaml").read_text())
    for entry in recipe["models"]:
        entry["model"] = str(tmp_path / "family" / Path(entry["model"]).name)
    recipe["base_model"] = str(tmp_path / "family/target")
    return recipe
