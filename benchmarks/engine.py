"""What Ray adds to an experiment: the local engine against two workers, the same cells.

    python benchmarks/engine.py [PLAN]

Overhead is the time between a worker's answers that is spent on no cell: for each cell, from the
moment the driver hands it out to the moment it has the answer, less the seconds the worker was
at it; summed, as a share of the local engine's time. What is paid once (starting Ray, loading
a model per worker) is listed beside it. Elapsed times share one machine's memory and caches, so
two workers on two cores need not be twice as fast.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from rvec_merge.experiment import run as room
from rvec_merge.experiment.backends.choice import BackendChoice
from rvec_merge.experiment.backends.hf import Transformers
from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.engines.base import Engine, Failed
from rvec_merge.experiment.engines.cluster import Sizing, joined
from rvec_merge.experiment.engines.local import LocalEngine
from rvec_merge.experiment.engines.ray import RayEngine
from rvec_merge.experiment.planned import Experiment
from rvec_merge.experiment.run import prepare
from rvec_merge.experiment.runner import CellRunner, Evaluated
from rvec_merge.experiment.store import CellResult, Store
from rvec_merge.results.tables import write_summary


class Clock:
    """Times every cell from hand-out to answer, around any engine."""

    def __init__(self) -> None:
        self.began: dict[Cell, float] = {}
        self.first = 0.0
        self.waited = self.worked = 0.0
        self.engine: Engine

    def begin(self, cell: Cell) -> None:
        self.began[cell] = time.perf_counter()
        self.first = self.first or self.began[cell]

    def run(self, cells: Sequence[Cell]) -> Iterator[Evaluated]:
        for answer in self.engine.run(cells):
            assert isinstance(answer, Evaluated), answer
            self.waited += time.perf_counter() - self.began[answer.cell]
            self.worked += answer.seconds
            yield answer

    def done(self, cell: Cell, result: CellResult) -> None:
        pass

    def failed(self, failure: Failed) -> None:
        pass


def run(experiment: Experiment, clock: Clock, runner: CellRunner, out: Path) -> tuple[float, bytes]:
    store = Store(out)
    began = time.perf_counter()
    with store.writing(experiment.head()):
        scale, results = room.run(experiment, clock, runner, store, clock)
        write_summary(experiment, scale, results, store)
    return time.perf_counter() - began, (out / "summary.json").read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", type=Path, nargs="?", default=Path("eval/experiments/tiny.yaml"))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    experiment = prepare(options.plan)
    runner = CellRunner(experiment.plan, experiment.recipe, experiment.book, Transformers("cpu"))
    with tempfile.TemporaryDirectory() as scratch:
        local, ours = Clock(), Path(scratch)
        local.engine = LocalEngine(runner, local.begin)
        alone, expected = run(experiment, local, runner, ours / "local")
        cluster = Clock()
        began = time.perf_counter()
        with joined(None, Sizing(workers=options.workers)) as joined_cluster:
            start = time.perf_counter() - began
            cluster.engine = RayEngine.on(joined_cluster, runner, BackendChoice(), cluster.begin)
            began = time.perf_counter()
            together, found = run(experiment, cluster, runner, ours / "ray")
            load = cluster.first - began
    cells = len(local.began)
    over = cluster.waited - cluster.worked
    print(f"cells                       {cells}")
    print(f"local engine                {alone:8.1f} s, of which {local.worked:.1f} s in cells")
    print(f"ray engine, {options.workers} workers      {together:8.1f} s elapsed")
    print(f"  in cells, all workers     {cluster.worked:8.1f} s")
    print(f"  scheduling overhead       {over:8.2f} s, {1000 * over / cells:.1f} ms per cell")
    print(f"  of the local time         {over / alone:8.2%}")
    print(f"paid once: starting Ray     {start:8.1f} s")
    print(f"paid once: first cell after {load:8.1f} s")
    print(f"the same summary bytes      {expected == found}")


if __name__ == "__main__":
    main()
