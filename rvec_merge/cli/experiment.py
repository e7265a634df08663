"""`rvec experiment`: the whole controlled experiment, from one plan."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvec_merge.api import evidence
from rvec_merge.api.arguments import sorted_into
from rvec_merge.cli import completion
from rvec_merge.cli.options import options, quiet_option
from rvec_merge.experiment.settings import Changes, RunSettings

if TYPE_CHECKING:
    from rvec_merge.cli.console import PlainConsole
    from rvec_merge.experiment.plan import Plan
    from rvec_merge.experiment.planned import Outline
    from rvec_merge.results.summary import Summary


@click.command("experiment", short_help="Evaluate a vector beside its controls, and judge it.")
@click.argument("plan", shell_complete=completion.plans)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Results folder; resumes one.")
@click.option("--dry-run", is_flag=True, help="Print the cells and stop; needs no dataset.")
@options(Changes)
@options(RunSettings)
@quiet_option
def command(plan: str, out: Path | None, dry_run: bool, quiet: bool, **given: Any) -> None:
    """Evaluate target, donors, vector and controls, and say whether the vector helped.

    PLAN is a YAML file, a bundled plan's name such as tiny, or shared results whose plan is run:
    hf://REPO_ID[@revision]. Finished cells are kept in the results folder; an interrupted run goes
    on where it stopped.
    """
    from rvec_merge.cli.console import PlainConsole
    from rvec_merge.cli.echo import echo
    from rvec_merge.cli.progress import watch

    changes, settings = sorted_into("experiment", given, Changes, RunSettings)
    console = PlainConsole()
    experiment = evidence.prepare(plan, changes, dry=dry_run)
    show_outline(
        console, experiment.plan, experiment.estimate() if dry_run else experiment.outline()
    )
    for caution in experiment.cautions():
        echo(f"Warning: {caution}", err=True)
    if dry_run:
        return
    if out is None:
        raise click.UsageError("Name the results folder: -o results/NAME.")
    try:
        with watch(console, quiet=quiet) as watching:
            results = evidence.run(experiment, out, settings, watching)
    except KeyboardInterrupt:
        kept = f"Finished cells are kept in {out}: the same command goes on from there."
        echo(f"Interrupted. {kept}", err=True)
        raise click.exceptions.Exit(130) from None
    show_verdicts(console, results.summary)
    console.print(f"\n{out / 'summary.md'} has the tables; rvec report {out} draws them.")


def show_verdicts(console: "PlainConsole", summary: "Summary") -> None:
    """Print what was found, a paragraph each."""
    from rich.text import Text

    from rvec_merge.results.wording import sentence
    from rvec_merge.shown import shown

    console.print()
    for verdict in summary.verdicts:
        said = f". {shown(sentence(verdict))}"
        console.print(Text.assemble((verdict.finding.value, "bold"), said))


def show_outline(console: "PlainConsole", plan: "Plan", outline: "Outline") -> None:
    """Print the cells that a plan asks for."""
    from rich.table import Table

    table = Table(title="Cells", title_justify="left", box=None, header_style="bold")
    for name in ("condition", "task"):
        table.add_column(name)
    reported: dict[str, list[str]] = {}
    for cell in outline.report:
        # Where there is a choice, it is made while the experiment runs.
        named = cell.named("s") if len(plan.scales) > 1 else cell.condition
        reported.setdefault(named, []).append(cell.task)
    for cell in outline.sweep:
        reported.setdefault(f"{cell.condition} (chooses s)", []).append(cell.task)
    for condition, tasks in reported.items():
        table.add_row(condition, ", ".join(tasks))
    console.print(table)
    console.print(f"{len(outline.cells)} cells, {outline.generations:,} outputs.")
    if outline.budgets:
        said = ", ".join(f"{task} {tokens:,}" for task, tokens in outline.budgets.items())
        console.print(f"Tokens of an output, at most: {said}.")
    if outline.estimated:
        named = ", ".join(outline.estimated)
        console.print(f"Counted from known sizes, because their items are not here: {named}.")
