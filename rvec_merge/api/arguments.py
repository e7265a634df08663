"""Keyword arguments of a verb, sorted into the settings classes that declare them."""

from dataclasses import fields
from difflib import get_close_matches
from typing import Any


def sorted_into(verb: str, options: dict[str, Any], *kinds: Any) -> Any:
    """One object of each settings class, in order.

    Raises:
        TypeError: no class declares an option.
    """
    declared = [[field.name for field in fields(kind)] for kind in kinds]
    known = [name for names in declared for name in names]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise TypeError(f"{verb}() has no option {name!r}; {hint}")
    return [
        kind(**{name: options[name] for name in names if name in options})
        for kind, names in zip(kinds, declared, strict=True)
    ]
