"""An option is declared once, where its value has its name, type and default.

``Annotated[int | None, Option("So many only.", least=1)] = None``, as the field of a settings class
or the parameter of a function, is what Python takes; ``cli.options`` makes the command line of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Annotated, Any, get_args, get_origin


@dataclass(frozen=True)
class Option:
    """What an option says of itself, beside its name, type and default.

    Attributes:
        help: one sentence or two.
        names: on the command line; ``--the-name`` where none is given.
        metavar: what stands for its value in the help.
        least, above, most: bounds of a number; ``above`` is no value of it.
        size: a number of bytes, written as people do (5GB).
    """

    help: str
    names: tuple[str, ...] = ()
    metavar: str | None = None
    least: float | None = None
    above: float | None = None
    most: float | None = None
    size: bool = False


class Misuse(ValueError):
    """Arguments that do not go together; wrong usage, on the command line."""


Device = Annotated[str, Option("cpu, cuda, cuda:1, …, or auto: cuda where there is one.")]
AllowPickle = Annotated[bool, Option("Accept pickled inputs, tensors alone.")]
Dequantize = Annotated[bool, Option("Read FP8 weights as float32, by their scales.")]
TrustRemoteCode = Annotated[bool, Option("Run code that a model brings along.")]
Allowed = Annotated[
    tuple[str, ...],
    Option(
        "Let the inputs' configs differ in it (rope_parameters, say); may be repeated.",
        ("--allow",),
        "SETTING",
    ),
]
Pair = Annotated[str | None, Option("Which pair of a recipe that has several.", metavar="NAME")]


@dataclass(frozen=True)
class Declared:
    """One declared option: its name in Python, its type without the annotation, its default."""

    name: str
    type: Any
    default: Any
    option: Option


def declared(owner: Callable[..., Any]) -> Iterator[Declared]:
    """The options of a settings class or a function, in the order they are written."""
    for parameter in signature(owner).parameters.values():
        annotation = parameter.annotation
        if get_origin(annotation) is not Annotated:
            continue
        kind, *notes = get_args(annotation)
        for note in notes:
            if isinstance(note, Option):
                assert parameter.default is not Parameter.empty, parameter.name
                yield Declared(parameter.name, kind, parameter.default, note)


def sorted_into(verb: str, options: dict[str, Any], *kinds: Any) -> Any:
    """Keyword arguments of a verb, as one object of each settings class that declares them.

    Raises:
        TypeError: no class declares an option.
    """
    names_of = [[field.name for field in fields(kind)] for kind in kinds]
    known = [name for names in names_of for name in names]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise TypeError(f"{verb}() has no option {name!r}; {hint}")
    return [
        kind(**{name: options[name] for name in names if name in options})
        for kind, names in zip(kinds, names_of, strict=True)
    ]
