"""``rvec compare``: two lm-eval runs, paired item by item."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvec_merge.api import evidence
from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option, options

if TYPE_CHECKING:
    from rvec_merge.results.compare import Report, Row

COLUMNS = (
    "task", "filter", "metric", "n", "A ± SE", "B ± SE", "B − A", "95 % interval",
    "rose", "fell", "p", "Holm p", "detectable",
)  # fmt: skip
TEXT_COLUMNS = 3


@click.command(short_help="Compare two lm-eval runs item by item.")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", required=False, type=click.Path(path_type=Path))
@options(evidence.compare)
@json_option
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
def command(a: Path, b: Path | None, as_json: bool, markdown: bool, **given: Any) -> None:
    """Compare the lm-eval runs A and B on the same items; the difference is B − A.

    A and B are output folders of lm-eval (--log_samples), or single samples files; or A is the
    folder that `rvec experiment` wrote, and --conditions names two of its conditions. 0/1 metrics
    are shown in per cent and points. See docs/statistics.md for the interval and the tests.
    """
    if as_json and markdown:
        raise click.UsageError("--json and --markdown exclude each other.")
    from dataclasses import asdict

    report = evidence.compare(a, b, **given)
    if as_json:
        echo_json(asdict(report))
    elif markdown:
        _print_markdown(report)
    else:
        _print_table(report)


def _cells(row: "Row") -> list[tuple[str, ...]]:
    """The table's lines for one row: a group has a second one, for the mean of its tasks."""
    from rvec_merge.results import wording

    name = row.task if row.task == row.other else f"{row.task} = {row.other}"
    lines: list[tuple[str, ...]] = []
    for label, found, adjusted, detectable in (
        (name, row.comparison, row.p_adjusted, row.detectable),
        (f"{name} (mean of tasks)", row.mean_of_tasks, None, None),
    ):
        if found is not None:
            lines.append(
                (
                    label,
                    row.filter,
                    row.metric,
                    str(found.n),
                    wording.level(found.baseline, binary=found.binary),
                    wording.level(found.condition, binary=found.binary),
                    wording.change(found.difference, binary=found.binary),
                    wording.interval(found),
                    str(found.rose),
                    str(found.fell),
                    wording.p_value(found.p),
                    "" if adjusted is None else wording.p_value(adjusted),
                    "" if adjusted is None else wording.size(detectable, binary=found.binary),
                )
            )
    return lines


def _headings(report: "Report") -> tuple[str, ...]:
    return (
        f"A: {report.a}",
        f"B: {report.b}",
        *report.notes,
        f"Paired by {report.by}; {report.resamples} resamples, seed {report.seed}.",
    )


def _print_markdown(report: "Report") -> None:
    lines = [*(f"{heading}  " for heading in _headings(report)), ""]
    lines.append(f"| {' | '.join(COLUMNS)} |")
    marks = ["---" if i < TEXT_COLUMNS else "---:" for i in range(len(COLUMNS))]
    lines.append(f"| {' | '.join(marks)} |")
    for row in report.rows:
        lines.extend(f"| {' | '.join(cells)} |" for cells in _cells(row))
    echo("\n".join(lines))


def _print_table(report: "Report") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from rvec_merge.cli.console import PlainConsole

    console = PlainConsole()
    for heading in _headings(report):
        console.print(heading, soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(COLUMNS):
        table.add_column(column, no_wrap=True, justify="left" if index < TEXT_COLUMNS else "right")
    below = False
    for row in report.rows:
        if row.kind == "subtask" and not below:
            below = True
            table.add_section()
        for cells in _cells(row):
            table.add_row(*cells)
    # A table wider than the terminal is left to wrap: cut numbers would be worse.
    unbounded = console.options.update(max_width=10_000)
    console.width = max(console.width, console.measure(table, options=unbounded).maximum)
    console.print(table)
