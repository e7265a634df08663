"""`rvec experiment`: the whole controlled experiment, from one plan."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvec_merge.api import evidence
from rvec_merge.cli import completion
from rvec_merge.cli.options import options, quiet_option
from rvec_merge.declare import sorted_into
from rvec_merge.experiment.settings import Changes, RunSettings

if TYPE_CHECKING:
    from rvec_merge.cli.console import PlainConsole
    from rvec_merge.experiment.cost import Cost, Rate
    from rvec_merge.experiment.plan import Plan
    from rvec_merge.experiment.planned import Outline
    from rvec_merge.results.summary import Summary


@click.command("experiment", short_help="Evaluate a vector beside its controls, and judge it.")
@click.argument("plan", shell_complete=completion.plans)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Results folder; resumes one.")
@click.option("--dry-run", is_flag=True, help="Print cells and cost and stop; needs no dataset.")
@click.option(
    "--tokens-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="With --dry-run: how fast your machine writes, for the hours.",
)
@options(Changes)
@options(RunSettings)
@quiet_option
def command(
    plan: str,
    out: Path | None,
    dry_run: bool,
    tokens_per_second: float | None,
    quiet: bool,
    **given: Any,
) -> None:
    """Evaluate target, donors, vector and controls, and say whether the vector helped.

    PLAN is a YAML file, a bundled plan's name such as tiny, or shared results whose plan is run:
    hf://REPO_ID[@revision]. Finished cells are kept in the results folder; an interrupted run goes
    on where it stopped.
    """
    from rvec_merge.cli.console import PlainConsole
    from rvec_merge.cli.echo import echo
    from rvec_merge.cli.progress import watch
    from rvec_merge.experiment.cost import MEASURED, cost_of

    if dry_run:  # what is not in the cache is counted from known sizes, and not fetched
        os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    elif tokens_per_second is not None:
        raise click.UsageError("--tokens-per-second goes with --dry-run.")
    elif out is None:
        raise click.UsageError("Name the results folder: -o results/NAME.")
    changes, settings = sorted_into("experiment", given, Changes, RunSettings)
    console = PlainConsole()
    experiment = evidence.prepare(plan, changes, dry=dry_run)
    outline = experiment.outline(dry=dry_run)
    if not quiet:
        show_outline(console, experiment.plan, outline)
    if dry_run:
        cost = cost_of(experiment.plan, experiment.recipe, outline.tokens)
        rates = [known for known in MEASURED if known.backend == settings.backend]
        without = outline.unbudgeted
        show_cost(console, experiment.plan, cost, without, rates, tokens_per_second)
    for caution in experiment.cautions():
        echo(f"Warning: {caution}", err=True)
    if dry_run:
        return
    assert out is not None
    try:
        with watch(console, quiet=quiet) as watching:
            results = evidence.run(experiment, out, settings, watching)
    except KeyboardInterrupt:
        kept = f"Finished cells are kept in {out}: the same command goes on from there."
        echo(f"Interrupted. {kept}", err=True)
        raise click.exceptions.Exit(130) from None
    if not quiet:
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


def show_cost(
    console: "PlainConsole",
    plan: "Plan",
    cost: "Cost",
    unbudgeted: Sequence[str],
    measured: Sequence["Rate"],
    rate: float | None,
) -> None:
    """Print what a plan takes: tokens, memory, and hours, by a rate or by what was measured."""
    from rvec_merge.shown import size_text

    if cost.tokens:
        without = f", without {', '.join(unbudgeted)}" if unbudgeted else ""
        console.print(f"{cost.tokens:,} tokens of outputs, at most{without}.")
    if cost.parameters is not None and cost.weights is not None:
        by = ", by its name" if cost.stated else ""
        console.print(
            f"The target has {cost.parameters:,} parameters{by}: {size_text(cost.weights)} of "
            f"weights in {plan.precision}, beside the cache of keys and values."
        )
    if not cost.tokens:
        return
    if rate is not None:
        console.print(f"At {rate:,.0f} tokens/s: {_time(cost.tokens / rate / 3600)}.")
    elif cost.parameters is not None:
        for known in measured:
            said = _time(known.hours(cost.tokens, cost.parameters))
            console.print(
                f"{said} by what a model of {known.parameters / 1e6:,.0f} million "
                f"parameters did ({known.where}: {known.tokens_per_second:,.0f} tokens/s), divided "
                "by parameters: a guess. --tokens-per-second takes what you measured."
            )


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} hours"
    return f"{hours * 60:,.0f} minutes" if hours * 60 >= 2 else "Under two minutes"
