"""How text that others wrote, and sizes, are shown; what would act on a terminal is spelled out."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator


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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence logging, stdout and stderr of what runs inside; errors still raise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
