"""What `rvec recipes` and `rvec plans` have in common: a list, one of it, and a copy to edit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rvec_merge.cli import completion
from rvec_merge.cli.echo import echo, echo_json

_WIDE = 110  # columns of a terminal


def show(shelf: Any, name: str | None, text: str, *, path: bool, as_json: bool) -> None:
    """Print one file, its path, or what is known of it."""
    file = shelf.get(name)
    if as_json:
        echo_json(as_dict(file))
    else:
        echo(file.path if path else text, nl=path)


def as_dict(file: Any) -> dict[str, Any]:
    """What is known of a file, for JSON."""
    from dataclasses import asdict

    return {**asdict(file), "path": str(file.path)}


def copy(text: str, name: str, out: str | None) -> None:
    """Write an editable copy into a new file.

    Raises:
        OutputError: there is such a file, or it cannot be written.
    """
    from rvec_merge.errors import OutputError, why

    path = Path(out or f"{name.rpartition('/')[2]}.yaml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OutputError(
            "The file exists.", [f"{path}"], "name another; it is not overwritten."
        ) from None
    except OSError as error:
        raise OutputError(
            "The file cannot be written.", [f"{path}", why(error)], "name one you may write."
        ) from None
    echo(f"{path}")


def print_table(rows: Sequence[Mapping[str, str]], wide: Sequence[str] = ()) -> None:
    """A table whose columns are the rows' keys; those in ``wide`` need a wide terminal."""
    from rich import box
    from rich.table import Table

    from rvec_merge.cli.console import PlainConsole

    console = PlainConsole()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = [c for c in (rows[0] if rows else ()) if console.width >= _WIDE or c not in wide]
    for index, column in enumerate(columns):
        longest = max(len(row[column]) for row in rows)
        least = min(longest, console.width // 2) if index == 0 else None
        table.add_column(column, overflow="fold", min_width=least)
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    console.print(table)


words = click.argument(
    "words",
    nargs=-1,
    metavar="[NAME | copy NAME [FILE]]",
    shell_complete=completion.recipes,
)


def copied(words: tuple[str, ...]) -> tuple[str, str | None] | None:
    """NAME and FILE of ``copy NAME [FILE]``; None where the words are no copy."""
    if words[:1] != ("copy",):
        return None
    if not 2 <= len(words) <= 3:
        raise click.UsageError("Give copy NAME, or copy NAME FILE.")
    return words[1], words[2] if len(words) == 3 else None
