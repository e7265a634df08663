"""`rvec experiment`: the whole controlled experiment, from one plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rvec_merge.cli.options import device_option

if TYPE_CHECKING:
    from rvec_merge.cli.console import PlainConsole
    from rvec_merge.experiment.engines.cluster import Cluster, Sizing
    from rvec_merge.experiment.run import Outline

_FOR_RAY = "With --engine ray: "


@click.command("experiment", short_help="Evaluate a vector beside its controls, and judge it.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Results folder; resumes one.")
@click.option("--dry-run", is_flag=True, help="Print the cells and stop.")
@device_option("auto")
@click.option(
    "--confirm-run-unsafe-code",
    "confirmed",
    is_flag=True,
    help="Run the code that models write, where a task (HumanEval) asks for it.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="This process, or workers on a Ray cluster.",
)
@click.option(
    "--address",
    default=None,
    help=_FOR_RAY + "auto, HOST:PORT or ray://HOST:PORT; by default a cluster on this machine.",
)
@click.option("--workers", type=click.IntRange(1), help=_FOR_RAY + "how many; as many as fit.")
@click.option(
    "--cpus-per-worker",
    type=click.FloatRange(0, min_open=True),
    help=_FOR_RAY + "1 by default.",
)
@click.option(
    "--gpus-per-worker",
    type=click.FloatRange(0),
    help=_FOR_RAY + "1 by default, where there are any; above 1, a worker's GPUs share a model.",
)
def command(
    plan: Path,
    out: Path | None,
    dry_run: bool,
    device: str,
    confirmed: bool,
    quiet: bool,
    engine: str,
    address: str | None,
    workers: int | None,
    cpus_per_worker: float | None,
    gpus_per_worker: float | None,
) -> None:
    """Evaluate target, donors, vector and controls, and say whether the vector helped.

    PLAN is a YAML file such as eval/experiments/tiny.yaml. Finished cells are kept in the
    results folder; an interrupted run goes on where it stopped.
    """
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from rich.text import Text

    from rvec_merge.arithmetic.device import device_named
    from rvec_merge.cli.console import PlainConsole
    from rvec_merge.cli.echo import echo
    from rvec_merge.cli.progress import CellProgress
    from rvec_merge.errors import PlanError
    from rvec_merge.experiment.backends.hf import Transformers
    from rvec_merge.experiment.engines.base import Engine
    from rvec_merge.experiment.engines.cluster import Sizing
    from rvec_merge.experiment.engines.local import LocalEngine
    from rvec_merge.experiment.engines.ray import RayEngine
    from rvec_merge.experiment.run import prepare
    from rvec_merge.experiment.runner import CellRunner
    from rvec_merge.experiment.store import Store
    from rvec_merge.results.report_files import write_summary
    from rvec_merge.results.wording import sentence
    from rvec_merge.shown import shown

    sized = {
        "--address": address,
        "--workers": workers,
        "--cpus-per-worker": cpus_per_worker,
        "--gpus-per-worker": gpus_per_worker,
    }
    if engine == "local" and (given := [k for k, v in sized.items() if v is not None]):
        raise click.UsageError(f"{given[0]} goes with --engine ray.")
    if engine == "ray" and device != "auto":
        raise click.UsageError("--device goes with --engine local; see --gpus-per-worker.")
    console = PlainConsole()
    experiment = prepare(plan)
    outline = experiment.outline(max(experiment.plan.scales))
    show_outline(console, experiment.plan.scales, outline)
    for caution in experiment.cautions():
        echo(f"Warning: {caution}", err=True)
    if dry_run:
        return
    if out is None:
        raise click.UsageError("Name the results folder: -o results/NAME.")
    if (running := experiment.running_code()) and not confirmed:
        raise PlanError(
            "The plan's tasks run code that models write.",
            [f"tasks: {', '.join(running)}"],
            "add --confirm-run-unsafe-code, in a container you can throw away.",
        )
    store = Store(out)
    experiment.require_same(store.found(), out)
    sizing = Sizing(cpus_per_worker or 1, gpus_per_worker, workers)
    own = str(device_named(device)) if engine == "local" else ""  # before a folder is made
    with _cluster(engine, address, sizing) as cluster, store.writing(experiment.head()):
        where = cluster.device if cluster else own
        runner = CellRunner(
            experiment.plan, experiment.recipe, experiment.book, Transformers(where)
        )
        total = len(outline.cells)
        with CellProgress(total, console, disable=quiet or not console.is_terminal) as progress:
            chosen: Engine = (
                RayEngine.on(cluster, runner, progress.begin)
                if cluster
                else LocalEngine(runner, progress.begin)
            )
            scale, results = experiment.run(chosen, runner, store, progress)
        summary = write_summary(experiment, scale, results, store)
    console.print()
    for verdict in summary.verdicts:
        said = f". {shown(sentence(verdict))}"
        console.print(Text.assemble((verdict.finding.value, "bold"), said))
    console.print(f"\n{out / 'summary.md'} has the tables.")


@contextmanager
def _cluster(engine: str, address: str | None, sizing: "Sizing") -> "Iterator[Cluster | None]":
    from rvec_merge.experiment.engines.cluster import joined

    if engine == "local":
        yield None
        return
    with joined(address, sizing) as cluster:
        yield cluster


def show_outline(console: "PlainConsole", scales: tuple[float, ...], outline: "Outline") -> None:
    """Print the cells that a plan asks for."""
    from rich.table import Table

    table = Table(title="Cells", title_justify="left", box=None, header_style="bold")
    for name in ("condition", "task"):
        table.add_column(name)
    reported: dict[str, list[str]] = {}
    for cell in outline.report:
        # The scale is not chosen yet; the outline was made with the largest.
        shown = cell.condition.replace(f" {max(scales):g} ", " s ")
        reported.setdefault(shown if len(scales) > 1 else cell.condition, []).append(cell.task)
    for cell in outline.sweep:
        reported.setdefault(f"{cell.condition} (chooses s)", []).append(cell.task)
    for condition, tasks in reported.items():
        table.add_row(condition, ", ".join(tasks))
    console.print(table)
    console.print(f"{len(outline.cells)} cells, {outline.generations:,} outputs.")
