"""``rvec check``: what a recipe would do, and what stands in its way."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvec_merge.api import merging
from rvec_merge.cli import completion
from rvec_merge.cli.echo import echo_json
from rvec_merge.cli.options import json_option, options
from rvec_merge.errors import told
from rvec_merge.merge.settings import Settings
from rvec_merge.shown import size_text

if TYPE_CHECKING:
    from rich.table import Table

    from rvec_merge.cli.console import PlainConsole
    from rvec_merge.preflight import PreflightReport
    from rvec_merge.preflight.deep import Closeness
    from rvec_merge.preflight.plan import PlanFacts
    from rvec_merge.preflight.scales import ScaleTable


@click.command(short_help="Check a recipe before a weight is read.")
@click.argument("recipe", metavar="RECIPE", shell_complete=completion.recipes)
@click.argument("out", required=False, type=click.Path(path_type=Path))
@options(merging.check)
@options(Settings, "overwrite", "allow_pickle", "dequantize", "trust_remote_code", "allowed")
@json_option
def command(recipe: str, out: Path | None, as_json: bool, **given: Any) -> int:
    """Check RECIPE, and that OUT can be written, before a weight is read; print the plan.

    RECIPE is a file, a bundled recipe's name, or a repo on the Hub: hf://REPO_ID[@revision]. Of
    models on the Hub, headers alone are read, unless --deep fetches them. Every problem is listed.
    Exits with 1 if there is one; warnings do not count.
    """
    found = merging.check(recipe, out, **given)
    if as_json:
        _print_json(found)
    elif found.report is None:
        raise found.errors[0]
    else:
        _print_text(recipe, out, found, found.report)
    return 0 if found.ok else 1


def _print_text(
    recipe: str, out: Path | None, found: merging.Check, report: "PreflightReport"
) -> None:
    """The plan, then warnings, then (to stderr) errors, and the verdict last."""
    from rvec_merge.cli.console import PlainConsole

    console = PlainConsole()
    errors, warnings, closeness = found.errors, found.warnings, found.closeness
    if report.facts is not None:
        _print_plan(console, out, report, report.facts)
    if closeness:
        _print_closeness(console, closeness)
    for notice in warnings:
        _print_finding(console, "Warning", "yellow", notice.headline, notice.facts, notice.advice)
    err = PlainConsole(stderr=True)
    for error in errors:
        fix = f"Fix: {error.fix}" if error.fix else ""
        _print_finding(err, "Error", "red", error.headline, error.facts, fix)
    counted = [_count(len(errors), "error"), _count(len(warnings), "warning")]
    verdict = "cannot be merged" if errors else "can be merged"
    if not errors and report.facts is None:
        verdict = "shows no error so far"
    said = ", ".join(text for text in counted if text)
    console.print(f"{recipe} {verdict}{f': {said}' if said else ''}.")


def _print_json(found: merging.Check) -> None:
    """Everything as one JSON object."""
    report = found.report
    errors = [{"headline": e.headline, "facts": e.facts, "fix": e.fix} for e in found.errors]
    value: dict[str, Any] = {
        "ok": not errors,
        "errors": errors,
        "warnings": [
            {"headline": w.headline, "facts": w.facts, "advice": w.advice} for w in found.warnings
        ],
        "inputs": [],
        "plan": None,
    }
    if report is not None:
        value["inputs"] = [
            {"role": m.label, "reference": str(m.reference), "folder": str(m.folder)}
            for m in report.models
        ]
        value["plan"] = report.facts and _facts(report.facts)
    if deep := [vars(close) for close in found.closeness]:
        value["closeness"] = deep
    echo_json(value)


def _print_finding(
    console: "PlainConsole", kind: str, colour: str, headline: str, facts: Iterable[str], last: str
) -> None:
    """Sentences wrap at the terminal's width; facts (paths, names) stay on one line each."""
    from rich.text import Text

    console.print(Text.assemble((kind, colour), f": {told([headline])}"))
    for fact in facts:
        console.print(told([f"  {fact}"]), soft_wrap=True)
    if last:
        console.print(told([last]))
    console.print()


def _print_plan(
    console: "PlainConsole", out: Path | None, report: "PreflightReport", facts: "PlanFacts"
) -> None:
    width = max(len("output"), *(len(model.label) for model in report.models))
    for model in report.models:
        stored = sum(info.nbytes for info in model.tensors.values())
        text = f"{model.label:{width}}  {model.reference}  ({size_text(stored)})"
        console.print(text, soft_wrap=True)
    for table in facts.scales:
        console.print()
        console.print(_scale_table(table, named=len(facts.scales) > 1))
    if facts.options:
        console.print(f"\n{', '.join(facts.options)}")
    console.print()
    where = f" to {out}" if out is not None else ""
    text = f"{facts.tensors} tensors in {', '.join(facts.dtypes)}, {size_text(facts.output_bytes)}"
    console.print(f"{'output':{width}}  {text}{where}", soft_wrap=True)
    time = "" if facts.seconds is None else f", then {_seconds(facts.seconds)} on one core"
    console.print(f"{'work':{width}}  {size_text(facts.input_bytes)} to read{time}", soft_wrap=True)
    console.print()


def _scale_table(table: "ScaleTable", *, named: bool) -> "Table":
    from rich import box
    from rich.table import Table

    from rvec_merge.preflight.scales import COLUMNS

    found = dict.fromkeys(column for row in table.rows for column in row.cells)
    columns = [column for column in ("", *COLUMNS) if column in found]
    head = f"scale, {table.pair}" if named else "scale"
    made = Table(head, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, justify="right")
    for row in table.rows:
        made.add_row(row.label, *(_values(row.cells.get(c, ())) for c in columns))
    return made


def _values(values: Sequence[float]) -> str:
    if len(values) > 2:
        return f"{values[0]:.3g} … {values[-1]:.3g}"
    return ", ".join(f"{value:.3g}" for value in values)


def _print_closeness(console: "PlainConsole", closeness: "Sequence[Closeness]") -> None:
    from rich import box
    from rich.table import Table

    table = Table("against the target", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("distance", "cosine", "norm ratio"):
        table.add_column(column, justify="right")
    for close in closeness:
        table.add_row(close.name, *map(_figure, (close.distance, close.cosine, close.norm_ratio)))
        for group, (distance, cosine) in close.groups.items():
            table.add_row(f"  {group}", _figure(distance), _figure(cosine), "")
    console.print(table)
    console.print()


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return "under a second of arithmetic"
    if seconds < 120:
        return f"about {seconds:.0f} s of arithmetic"
    return f"about {seconds / 60:.0f} min of arithmetic"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}" if number else ""


def _facts(facts: "PlanFacts") -> Mapping[str, Any]:
    scales = [
        {"pair": table.pair, "rows": [{"weights": r.label, **_cells(r.cells)} for r in table.rows]}
        for table in facts.scales
    ]
    return {**vars(facts), "scales": scales}


def _cells(cells: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    return {column or "all": values for column, values in cells.items()}
