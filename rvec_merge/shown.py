"""How text that others wrote is shown: what would act on a terminal, or hide, is spelled out."""

import json


def shown(text: object) -> str:
    """The text with control, bidirectional and invisible characters as escapes (``\\u202e``).

    Lines stay lines. JSON stays the same JSON: the escapes are its own.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in plain)
