"""``rvec inspect``: what a reasoning vector looks like."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvec_merge.api import vectors as api
from rvec_merge.cli import completion
from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option, options

if TYPE_CHECKING:
    from rvec_merge.vector.inspection import Inspection, Row


@click.command(short_help="Show a vector's norms, density and directions.")
@click.argument(
    "vectors",
    nargs=-1,
    required=True,
    metavar="VECTOR|RECIPE [VECTOR|RECIPE...]",
    shell_complete=completion.recipes,
)
@options(api.inspect)
@click.option("--tensors", is_flag=True, help="List every tensor too.")
@click.option("--plot", "figure", type=click.Path(path_type=Path), help="Draw layer × module.")
@json_option
def command(
    vectors: tuple[str, ...], tensors: bool, figure: Path | None, as_json: bool, **given: Any
) -> None:
    """Show a vector's norms, density and directions, by module kind and by layer.

    VECTOR is a compact or dense vector file; RECIPE a recipe whose donors are at hand, or a bundled
    recipe's name; either may be a repo: hf://REPO_ID[@revision]. Several are compared with the
    first: the matrix of their cosines. A recipe's target is the one that norms relate to, unless
    --target names another.
    """
    found = api.inspect(*vectors, **given)
    for doubt in found.doubts():
        echo(f"Warning: {doubt}", err=True)
    if figure is not None:
        from rvec_merge.vector.plot import plot

        plot(found, figure)
    if as_json:
        echo_json(_as_dict(found))
    else:
        _print(found, tensors)


def _print(found: "Inspection", tensors: bool) -> None:
    from rvec_merge.cli.console import PlainConsole

    console = PlainConsole()
    console.print(found.labels[0], soft_wrap=True)
    groups = [("module", [*found.by_kind(), found.total]), ("layer", found.by_layer())]
    if tensors or any(row.stable_rank is not None for row in found.rows):
        groups.append(("tensor", list(found.rows)))
    for title, rows in groups:
        console.print(_table(title, rows, found))
    if len(found.labels) > 1:
        _print_cosines(console, found)


def _table(title: str, rows: "list[Row]", found: "Inspection") -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(title, overflow="fold", min_width=9)  # names may wrap, numbers may not
    columns = _columns(rows, found)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for index, row in enumerate(rows):
        texts = (_text(values[index], name) for name, values in columns.items())
        table.add_row(row.label, *texts)
    return table


def _columns(rows: "list[Row]", found: "Inspection") -> dict[str, list[float | None]]:
    columns: dict[str, list[float | None]] = {
        "norm": [row.measured.norm for row in rows],
        f"/ {found.weight}": [row.relative_norm for row in rows],
        "density": [row.measured.density for row in rows],
        "±1 ulp": [row.one_ulp_share for row in rows],
        "largest": [row.measured.largest for row in rows],
        "stable rank": [row.stable_rank for row in rows],
    }
    for index in range(1, len(found.labels)):
        columns[f"cos {_letter(index)}"] = [row.cosines[0][index] for row in rows]
    return {name: values for name, values in columns.items() if any(v is not None for v in values)}


def _print_cosines(console: Any, found: "Inspection") -> None:
    from rich import box
    from rich.table import Table

    table = Table("cosine", *map(_letter, range(len(found.labels))), box=box.SIMPLE_HEAD)
    for index, line in enumerate(found.total.cosines):
        table.add_row(f"{_letter(index)}  {found.labels[index]}", *map(_text, line))
    console.print(table)


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else str(index)


def _text(value: float | None, column: str = "cos") -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if column.startswith("cos") else f"{value:.2g}"


def _as_dict(found: "Inspection") -> dict[str, Any]:
    return {
        "vectors": found.labels,
        "relative_to": found.weight,
        "total": _row(found.total),
        "layers": [_row(row) for row in found.by_layer()],
        "modules": [_row(row) for row in found.by_kind()],
        "tensors": [_row(row) for row in found.rows],
    }


def _row(row: "Row") -> dict[str, Any]:
    facts = {
        "name": row.label,
        "elements": row.measured.elements,
        "norm": row.measured.norm,
        "relative_norm": row.relative_norm,
        "density": row.measured.density,
        "one_ulp_share": row.one_ulp_share,
        "largest": row.measured.largest,
        "stable_rank": row.stable_rank,
    }
    return {**facts, "cosines": row.cosines} if len(row.gram) > 1 else facts
