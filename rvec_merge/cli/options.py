"""Options of the command line, made of what settings classes and functions declare."""

import re
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click

from rvec_merge.declare import Declared, declared
from rvec_merge.shown import size_text

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
Decorator = Callable[[Any], Any]
json_option = click.option("--json", "as_json", is_flag=True, help="Print it all as JSON.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")


def options(owner: Callable[..., Any], *names: str) -> Decorator:
    """Every option that ``owner`` declares, or those of these names.

    The command is called with its parameters by their Python names.
    """
    known = {found.name: found for found in declared(owner)}
    chosen = [known[name] for name in names] if names else list(known.values())

    def decorate(command: Any) -> Any:
        for found in reversed(chosen):
            command = _click(found)(command)
        return command

    return decorate


def _click(found: Declared) -> Decorator:
    said = found.option
    names = said.names or (f"--{found.name.replace('_', '-')}",)
    kind, several, nargs = _plain(found.type)
    given: dict[str, Any] = {"help": said.help, "metavar": said.metavar, "default": found.default}
    if kind is bool:
        if found.default:
            names = tuple(f"{name}/--no-{name.removeprefix('--')}" for name in names)
            given["show_default"] = True
        else:
            given["is_flag"] = True
    else:
        given |= {"type": _type(kind, found), "multiple": several, "nargs": nargs}
        given["show_default"] = found.default not in (None, ())
        if said.size:
            given["show_default"] = size_text(found.default)
    if given["default"] is None:
        del given["default"]
    return click.option(found.name, *names, **given)


def _plain(kind: Any) -> tuple[Any, bool, int]:
    """A type without ``None``; whether the option may be repeated; how many values it takes."""
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple:
        (first, *others) = get_args(kind)
        return (first, True, 1) if others == [...] else (first, False, 1 + len(others))
    return kind, False, 1


def _type(kind: Any, found: Declared) -> Any:
    said = found.option
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if kind is Path:
        return click.Path(path_type=Path)
    if said.size:
        return Size()
    least = said.least if said.above is None else said.above
    if kind in (int, float) and (least, said.most) != (None, None):
        bounded: Any = click.IntRange if kind is int else click.FloatRange
        return bounded(least, said.most, min_open=said.above is not None)
    return kind


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click
    """Bytes, as people write them: ``5GB``, ``500MB``, ``1000000``; decimal, as the Hub counts."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", value.strip(), re.IGNORECASE)
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is no size; write e.g. 5GB.", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])
