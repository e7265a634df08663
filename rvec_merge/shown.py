"""How text that others wrote, and sizes, are shown: what would act on a terminal is spelled out."""

import json


def shown(text: object) -> str:
    """The text with control, bidirectional and invisible characters as escapes (``\\u202e``).

    Lines stay lines. JSON stays the same JSON: the escapes are its own.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in plain)


def size_text(count: int) -> str:
    """A number of bytes, short."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"
