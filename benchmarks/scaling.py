"""How an experiment scales on Ray: the real engine and queue, cells that only sleep.

    python benchmarks/scaling.py [RESULTS]

RESULTS is a finished experiment, by default results/tiny, which is run first if it is missing.

What is real: the plan's cells, the order they are handed out in, every Ray call between driver
and worker, the files that travel. What is simulated: a worker sleeps for the time that lm-eval
recorded for cells of that kind in the given results folder, and for ``--load`` seconds before its
first cell. Below 64 workers all of this is shortened, to a 16th for four workers, so Ray's own
time counts for more than it would. Workers share processes: this machine could not hold hundreds
of them, so what hundreds of processes cost their nodes, and a network, is not measured.

Two experiments: the one that was recorded, and the same plan with 100 draws of each control,
whose cells take what the same task took on average. Efficiency is the work, seconds of cells,
over workers × elapsed seconds; loading and waiting for the chosen scale count against it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rvec_merge.experiment.conditions import Cell, report_cells, sweep_cells
from rvec_merge.experiment.engines.cluster import Sizing, joined
from rvec_merge.experiment.engines.ray import RayEngine
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.runner import Evaluated

WORKERS = (4, 8, 16, 32, 64, 128, 256, 512)
THREADS = 128  # simulated workers in one process
PAYS = 0.5  # efficiency below which a worker more is mostly waiting


class Sleeper:
    """Many simulated workers in one process."""

    def __init__(self, load: float, seconds: dict[str, float], files: dict[str, bytes]) -> None:
        self.load_seconds, self.seconds, self.files = load, seconds, files
        self.speed = 1.0

    def go(self, speed: float) -> None:
        self.speed = speed

    def load(self) -> None:
        time.sleep(self.load_seconds / self.speed)

    def run(self, cell: Cell) -> Evaluated:
        time.sleep(self.seconds[kind(cell)] / self.speed)
        return Evaluated(cell, {}, {}, self.files, self.seconds[kind(cell)])


def kind(cell: Cell) -> str:
    """What a cell's time depends on."""
    return f"{cell.variant}{' forced' if cell.forced else ''}"


def tiny() -> Path:
    """The tiny experiment's results."""
    folder = Path("results/tiny")
    if not (folder / "summary.json").is_file():
        plan = "eval/experiments/tiny.yaml"
        command = [sys.executable, "-c", "from rvec_merge.cli import main; main()", "experiment"]
        subprocess.run([*command, plan, "-o", folder, "-q"], check=True, stdout=sys.stderr)
    return folder


def recorded(folder: Path) -> tuple[Plan, dict[str, float], dict[str, bytes]]:
    """The plan of a results folder, its mean seconds per kind of cell, one cell's files."""
    plan = Plan.model_validate(json.loads((folder / "experiment.json").read_text())["plan"])
    seconds: dict[str, list[float]] = {}
    for path in folder.glob("cells/*/cell.json"):
        cell = json.loads(path.read_text())
        (results,) = path.parent.glob("results_*.json")
        taken = float(json.loads(results.read_text())["total_evaluation_time_seconds"])
        forced = cell["condition"].endswith("forced steps")
        seconds.setdefault(f"{cell['variant']}{' forced' if forced else ''}", []).append(taken)
        files = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    return plan, {name: statistics.fmean(times) for name, times in seconds.items()}, files


def phases(plan: Plan, seconds: dict[str, float]) -> list[list[Cell]]:
    """The cells before and after the scale is chosen, as ``Experiment.run`` asks for them."""
    scale = max(plan.scales)
    report = [cell for cell in report_cells(plan, scale) if kind(cell) in seconds]
    first = list(dict.fromkeys(sweep_cells(plan) + [c for c in report if not c.state.scale]))
    return [first, [cell for cell in report if cell not in set(first)]]


def elapsed(
    workers: int, asked: Iterable[list[Cell]], cost: Callable[[Cell], float], hosts: list[Any]
) -> float:
    """Seconds for all cells with so many simulated workers."""
    turn = iter(range(workers))
    engine = RayEngine(
        lambda: hosts[next(turn) % len(hosts)], workers, cost, begin=lambda cell: None
    )
    began = time.perf_counter()
    for cells in asked:
        done = [answer.cell for answer in engine.run(cells)]
        assert len(done) == len(cells)
        assert set(done) == set(cells)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", help="folder of a finished experiment")
    parser.add_argument("--load", type=float, default=8, help="seconds a worker needs to load")
    parser.add_argument("--workers", type=int, nargs="*", default=WORKERS)
    parser.add_argument("--svg", type=Path, help="draw the speed-up here")
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    plan, seconds, files = recorded(options.results or tiny())
    many = plan.model_copy(
        update={"controls": plan.controls.model_copy(update={"random": 100, "permuted": 100})}
    )
    curves: dict[str, list[tuple[int, float]]] = {}
    with joined(None, Sizing(cpus=0.25)):
        import ray

        actor = ray.remote(Sleeper).options(num_cpus=0.25, max_concurrency=THREADS)
        hosts = [
            actor.remote(options.load, seconds, files)
            for _ in range(max(options.workers) // THREADS or 1)
        ]
        print("| experiment | workers | seconds | speed-up | efficiency |")
        print("|---|---:|---:|---:|---:|")
        for name, chosen in (("as recorded", plan), ("100 draws of each control", many)):
            asked = phases(chosen, seconds)
            cells = [cell for phase in asked for cell in phase]
            work = sum(seconds[kind(cell)] for cell in cells)
            pays = 1
            curve = curves.setdefault(f"{name} ({len(cells)} cells)", [])
            for workers in options.workers:
                if workers > len(cells):
                    break
                speed = max(1.0, 64 / workers)
                ray.get([host.go.remote(speed) for host in hosts])
                took = speed * elapsed(workers, asked, lambda cell: seconds[kind(cell)], hosts)
                curve.append((workers, work / took))
                efficiency = work / (workers * took)
                pays = max(pays, workers if efficiency >= PAYS else 1)
                print(
                    f"| {name} ({len(cells)} cells, {work:.0f} s) | {workers} "
                    f"| {took:.0f} | {work / took:.1f} | {efficiency:.0%} |",
                    flush=True,
                )
            print(f"\n{name}: {pays} workers still reach {PAYS:.0%}.\n")
    if options.svg:
        draw(curves, options.svg)


def draw(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Speed-up against workers, with the ideal and the half of it."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "rvec"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(WORKERS, WORKERS, color="0.6", linewidth=1, label="ideal")
    halves = [workers * PAYS for workers in WORKERS]
    axes.plot(WORKERS, halves, color="0.6", linewidth=1, linestyle=":", label=f"{PAYS:.0%} of it")
    styles = (("#0072b2", "o"), ("#d55e00", "s"))
    for (name, curve), (color, marker) in zip(curves.items(), styles, strict=True):
        workers, gained = zip(*curve, strict=True)
        axes.plot(workers, gained, color=color, marker=marker, markersize=4, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(WORKERS, map(str, WORKERS))
    axes.set_yticks(WORKERS, map(str, WORKERS))
    axes.set_xlabel("workers")
    axes.set_ylabel("speed-up over one worker's cells")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
