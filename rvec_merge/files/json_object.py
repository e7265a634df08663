"""JSON objects from files that others wrote: bounded, and one error for whatever is wrong."""

import json
from pathlib import Path
from typing import Any

from rvec_merge.errors import RvecError, why

_MOST = 64 << 20  # bytes


def read_object(
    path: Path, error: type[RvecError], fix: str, *, where: object = None
) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        error: the class of error to raise.
        fix: what it advises.
        where: what it names; the file where nothing is given.

    Raises:
        RvecError: the file is not JSON, holds something else than an object, or too much.
    """
    where = where or path
    try:
        if path.stat().st_size > _MOST:
            raise ValueError(f"it has {path.stat().st_size:,} bytes; {_MOST:,} are the most")
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise error(f"{path.name} cannot be read.", [f"{where}", why(problem)], fix) from None
    if not isinstance(value, dict):
        raise error(f"{path.name} holds no JSON object.", [f"{where}"], fix)
    return value
