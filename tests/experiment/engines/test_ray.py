"""The same experiment on Ray: real clusters, real workers, and workers and nodes killed."""

import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

ray = pytest.importorskip("ray")

from rvec_merge.cli import rvec  # noqa: E402
from rvec_merge.errors import EnvironmentProblem, ResultsError  # noqa: E402
from rvec_merge.experiment.backends.choice import BackendChoice  # noqa: E402
from rvec_merge.experiment.conditions import Cell, State  # noqa: E402
from rvec_merge.experiment.engines.base import Failed  # noqa: E402
from rvec_merge.experiment.engines.cluster import Cluster, Sizing, joined  # noqa: E402
from rvec_merge.experiment.engines.queue import CellQueue  # noqa: E402
from rvec_merge.experiment.engines.ray import RETRIES, RayEngine  # noqa: E402

CELLS = [Cell(f"task {i}", State("random", 1.0, i % 3)) for i in range(9)]


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    """A cluster of two raylets with one CPU each; this process has not joined it."""
    from ray.cluster_utils import Cluster as Raylets

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    settings = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    raylets = Raylets(initialize_head=True, head_node_args=settings)
    raylets.add_node(num_cpus=1, object_store_memory=80 << 20)
    yield raylets
    ray.shutdown()
    raylets.shutdown()


def loaded_workers(raylet: psutil.Process, count: int) -> list[psutil.Process]:
    """Its workers that have loaded their model; waits until there are so many."""
    found: list[psutil.Process] = []
    while len(found) < count:
        time.sleep(0.02)
        found = []
        for process in raylet.children():
            with suppress(psutil.Error):
                # Ray names a process after what it does, and after its actor while it waits.
                if process.cmdline()[:1] in (["ray::Worker"], ["ray::Worker.run"]):
                    found.append(process)
    return found


def same_findings(folder: Path, finished: Any) -> None:
    for name in ("summary.json", "summary.md", "cells.csv"):
        assert (folder / name).read_bytes() == (finished.folder / name).read_bytes()


def test_a_local_cluster_finds_the_same_bytes_though_a_worker_is_killed(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    cells_in: Callable[[Path], list[str]],
    finished: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    hand_out, killed = RayEngine._hand_out, []

    def killing(engine: RayEngine, queue: CellQueue, cells: Any) -> None:
        if not killed and any(desk.loaded for desk in engine._desks):
            (raylet,) = (p for p in psutil.Process().children() if p.name() == "raylet")
            workers = loaded_workers(raylet, 2)
            if all(desk.loaded for desk in engine._desks):
                workers[0].kill()
                killed.append(workers[0])
        hand_out(engine, queue, cells)

    monkeypatch.setattr(RayEngine, "_hand_out", killing)
    done = CliRunner().invoke(
        rvec, ["experiment", str(plan_file()), "-o", str(out), "--engine", "ray", "--workers", "2"]
    )
    assert done.exit_code == 0, done.output
    assert killed
    assert cells_in(out) == cells_in(finished.folder)
    same_findings(out, finished)


def run_on(
    address: str, plan: Path, out: Path, begin: Callable[[Cell, RayEngine], None], log: Any
) -> None:
    from rvec_merge.experiment.backends.hf import Transformers
    from rvec_merge.experiment.run import prepare, run
    from rvec_merge.experiment.runner import CellRunner
    from rvec_merge.experiment.store import Store
    from rvec_merge.results.tables import write_summary

    experiment, store = prepare(plan), Store(out)
    with joined(address, Sizing()) as cluster, store.writing(experiment.head()):
        assert cluster == Cluster(1, 0, 2)
        runner = CellRunner(
            experiment.plan, experiment.recipe, experiment.book, Transformers(cluster.device)
        )
        engine = RayEngine.on(cluster, runner, BackendChoice(), lambda cell: begin(cell, engine))
        scale, results = run(experiment, engine, runner, store, log)
        write_summary(experiment, scale, results, store)


def test_a_node_is_killed_and_the_other_finishes(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    two_nodes: Any,
    cells_in: Callable[[Path], list[str]],
    finished: Any,
) -> None:
    begun: list[Cell] = []
    second = next(node for node in two_nodes.list_all_nodes() if node != two_nodes.head_node)
    raylet = psutil.Process(second.all_processes["raylet"][0].process.pid)

    def begin(cell: Cell, engine: RayEngine) -> None:
        begun.append(cell)
        if len(begun) == 1:
            loaded_workers(raylet, 1)
        elif second in two_nodes.list_all_nodes() and all(desk.loaded for desk in engine._desks):
            two_nodes.remove_node(second, allow_graceful=False)

    log = type(finished.log)()
    run_on(two_nodes.address, plan_file(), tmp_path / "out", begin, log)
    two_nodes.add_node(num_cpus=1, object_store_memory=80 << 20)
    assert len(log.finished) == len(set(log.finished)) == 11
    assert len(begun) == 12  # the one that was lost was handed out again
    assert cells_in(tmp_path / "out") == cells_in(finished.folder)
    same_findings(tmp_path / "out", finished)


def test_the_driver_is_killed_and_goes_on_where_it_stopped(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    two_nodes: Any,
    killed: Callable[..., None],
    cells_in: Callable[[Path], list[str]],
    finished: Any,
) -> None:
    out = tmp_path / "out"
    arguments = (plan_file(), "-o", out, "-q", "--engine", "ray", "--address", two_nodes.address)
    killed(2, *arguments)
    kept = cells_in(out)
    assert len(kept) == 2
    log = type(finished.log)()
    run_on(two_nodes.address, plan_file(), out, lambda cell, engine: log.begun.append(cell), log)
    assert len(log.begun) == 11 - len(kept)
    assert set(kept) < set(cells_in(out)) == set(cells_in(finished.folder))
    same_findings(out, finished)


def test_a_cell_that_raises_on_a_worker(
    plan_file: Callable[..., Path], tmp_path: Path, two_nodes: Any, broken_recipe: Path
) -> None:
    few = {"scales": [1.0], "forced_steps": False, "perturbations": [], "donors": True}
    plan, out = plan_file(recipe=str(broken_recipe), **few), tmp_path / "out"
    done = CliRunner().invoke(
        rvec,
        [
            "experiment",
            str(plan),
            "-o",
            str(out),
            "--engine",
            "ray",
            "--address",
            two_nodes.address,
        ],
    )
    assert isinstance(done.exception, ResultsError), done.output
    assert done.exception.headline == "3 of 5 cells failed; no summary is made."
    assert "target + 1 vector on rvec_tiny: NonFiniteError: " in str(done.exception)
    traces = list((out / "failed").iterdir())
    assert len(traces) == 3
    assert all("Traceback" in path.read_text() for path in traces)
    assert not (out / "summary.json").exists()


class Stand:
    """A worker that answers with the cell itself; its deaths are real.

    What it refers to is imported in its process: torch would take seconds each time.
    """

    def __init__(self, fatal: str = "", broken: bool = False) -> None:
        self.fatal = fatal
        self.broken = broken

    def load(self):  # type: ignore[no-untyped-def]
        if self.fatal == "load":
            os.kill(os.getpid(), signal.SIGKILL)
        return "Traceback\nOSError: no such model" if self.broken else None

    def run(self, cell, items):  # type: ignore[no-untyped-def]
        if cell.task == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return cell


@pytest.fixture
def stands(two_nodes: Any) -> Iterator[Callable[..., RayEngine]]:
    """Engines on the cluster of two nodes whose workers are stands."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with joined(two_nodes.address, Sizing()):
        actor = ray.remote(Stand).options(num_cpus=1)

        def engine(begun: list[Cell], workers: int = 2, **settings: Any) -> RayEngine:
            start = functools.partial(actor.remote, **settings)
            return RayEngine(start, workers, lambda cell: 1.0, begun.append)

        yield engine


def test_a_cell_that_kills_its_workers_is_given_up_and_the_rest_completes(
    stands: Callable[..., RayEngine],
) -> None:
    begun: list[Cell] = []
    answers = list(stands(begun, fatal="task 4").run(dict.fromkeys(CELLS)))
    (failed,) = [a for a in answers if isinstance(a, Failed)]
    answers.remove(failed)
    assert sorted([*answers, failed.cell]) == CELLS  # each once, none lost
    assert failed.cell == CELLS[4]
    assert failed.reason == f"its worker died {RETRIES + 1} times"
    assert begun.count(CELLS[4]) == RETRIES + 1
    assert len(begun) == len(CELLS) + RETRIES


@pytest.mark.parametrize("settings", [{"broken": True}, {"fatal": "load"}])
def test_a_target_that_no_worker_can_load(
    stands: Callable[..., RayEngine], settings: dict[str, Any]
) -> None:
    with pytest.raises(EnvironmentProblem, match="No worker could load the target") as caught:
        list(stands([], workers=1, **settings).run(dict.fromkeys(CELLS)))
    if "broken" in settings:
        assert "OSError: no such model" in caught.value.facts


def test_what_was_asked_later_runs_on_the_same_workers(
    stands: Callable[..., RayEngine],
) -> None:
    engine = stands([])
    assert len(list(engine.run(dict.fromkeys(CELLS[:1])))) == 1
    assert sorted(engine.run(dict.fromkeys(CELLS[1:]))) == CELLS[1:]


def test_more_gpus_than_exist(
    plan_file: Callable[..., Path], tmp_path: Path, two_nodes: Any
) -> None:
    out = tmp_path / "out"
    arguments = ["experiment", str(plan_file()), "-o", str(out), "--engine", "ray"]
    arguments += ["--gpus-per-worker", "1", "--address", two_nodes.address]
    done = CliRunner().invoke(rvec, arguments)
    assert isinstance(done.exception, EnvironmentProblem), done.output
    assert not out.exists()
    assert done.exception.facts == (
        "asked for: 1, each with 1 CPU and 1 GPU",
        "there are: 2 CPU and 0 GPU on 2 nodes: 0 fit",
    )
