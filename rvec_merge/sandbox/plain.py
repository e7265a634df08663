"""Plain data between the program and its judge: what one says, the other rebuilds from JSON.

Nothing of a value but its data crosses: no class of the program, hence no ``__eq__`` of its own.
"""

from collections.abc import Iterator
from typing import Any


class Other:
    """A value that is no plain data: true or false, perhaps iterable, and equal to nothing."""

    def __init__(self, truth: bool, items: list[Any]) -> None:
        self._truth = truth
        self._items = items

    def __bool__(self) -> bool:
        return self._truth

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


def pack(value: Any) -> Any:
    """A value in terms of JSON; subclasses become what they are subclasses of."""
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):
        return {"int": hex(value)} if value.bit_length() > 64 else value
    if isinstance(value, list):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(item)] for key, item in value.items()]}
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [pack(item) for item in value]}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": value.hex()}
    if type(value).__name__ == "Decimal":  # no Fraction: it does not add to a float
        return {"decimal": str(value)}
    if hasattr(value, "as_integer_ratio"):  # Fraction
        return {"ratio": [pack(part) for part in value.as_integer_ratio()]}
    items = [pack(item) for item in value] if hasattr(value, "__iter__") else []
    return {"other": [bool(value), items]}


def unpack(data: Any) -> Any:
    """The value that ``pack`` was given, or a ValueError, TypeError or KeyError."""
    if isinstance(data, list):
        return [unpack(item) for item in data]
    if not isinstance(data, dict):
        return data
    ((kind, held),) = data.items()
    if kind == "int":
        return int(held, 16)
    if kind == "bytes":
        return bytes.fromhex(held)
    if kind == "decimal":
        from decimal import Decimal

        return Decimal(held)
    parts = unpack(held)
    if kind == "ratio":
        from fractions import Fraction

        return Fraction(*parts)
    if kind in {"complex", "other"}:
        return (complex if kind == "complex" else Other)(*parts)
    return {"dict": dict, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](parts)
