"""`rvec experiment`: the whole controlled experiment, from one plan."""

from pathlib import Path

import click


@click.command("experiment")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Results folder; resumes one.")
@click.option("--dry-run", is_flag=True, help="Print the cells and stop.")
@click.option("--device", default=None, help="cpu or cuda; by default cuda where there is one.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def command(plan: Path, out: Path | None, dry_run: bool, device: str | None, quiet: bool) -> None:
    """Evaluate target, donors, vector and controls, and say whether the vector helped.

    PLAN is a YAML file such as eval/experiments/tiny.yaml. Finished cells are kept in the
    results folder; an interrupted run goes on where it stopped.
    """
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    from rich.console import Console

    from rvec_merge.cli.progress import CellProgress
    from rvec_merge.evaluation.experiment import LocalEngine, prepare
    from rvec_merge.evaluation.report_files import write_summary
    from rvec_merge.evaluation.runner import CellRunner
    from rvec_merge.evaluation.store import Store

    console = Console()
    experiment = prepare(plan)
    outline = experiment.outline(max(experiment.plan.scales))
    show_outline(console, experiment.plan.scales, outline)
    if dry_run:
        return
    if out is None:
        raise click.UsageError("Name the results folder: -o results/NAME.")
    store = Store(out)
    store.open(experiment.head())
    runner = CellRunner(
        experiment.plan,
        experiment.recipe,
        experiment.book,
        device or ("cuda" if torch.cuda.is_available() else "cpu"),
    )
    with CellProgress(len(outline.cells), disable=quiet or not console.is_terminal) as progress:
        engine = LocalEngine(runner, store, progress.begin)
        scale, results = experiment.run(engine, runner, store, progress.done)
    summary = write_summary(experiment, scale, results, store)
    console.print()
    for verdict in summary.verdicts:
        console.print(f"[bold]{verdict.finding.value}[/]. {verdict.sentence}", highlight=False)
    console.print(f"\n{out / 'summary.md'} has the tables.", highlight=False)


def show_outline(console: object, scales: tuple[float, ...], outline: object) -> None:
    """Print the cells that a plan asks for."""
    from rich.console import Console
    from rich.table import Table

    from rvec_merge.evaluation.experiment import Outline

    assert isinstance(console, Console)
    assert isinstance(outline, Outline)
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
    console.print(f"{len(outline.cells)} cells, {outline.generations:,} outputs.", highlight=False)
