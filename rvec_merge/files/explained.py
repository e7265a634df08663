"""What pydantic finds wrong in YAML, as its author would say it."""

from typing import Any

# By pydantic's kinds of error.
_SAID = {
    "extra_forbidden": "there is no such key",
    "too_short": "names none",
    "missing": "is missing",
    "string_pattern_mismatch": "no name of a task: letters, digits and _ . ( ) + - alone",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "string_type": "write text",
    "list_type": "write a list",
    "tuple_type": "write a list",
    "model_type": "write keys and values",
    "dict_type": "write keys and values",
    "finite_number": "write a number that is finite",
}
_LISTED = 8


def explained(error: Any) -> list[str]:
    """Each fault of a ``ValidationError``: where it is, what to write, and what stands there."""
    found = [e for e in error.errors() if e["type"] != "too_short" or not e["input"]]
    return [_fact(item) for item in found[:_LISTED]]


def _fact(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    kind, given = error["type"], f" (it is {error['input']!r})"
    said = _SAID.get(kind, error["msg"].removeprefix("Value error, ").removeprefix("Input should "))
    if kind in {"value_error", "missing", "extra_forbidden", "too_short"}:
        given = ""
    return f"{where}: {said}{given}" if where else f"{said}{given}"
