"""One switch for local data: ``RVEC_EVAL_DATA=DIR``, or ``RVEC_EVAL_DATA=sample``.

A task whose file says ``data: gsm8k`` reads ``DIR/gsm8k/<split>.jsonl``, one item a line with the
columns of the hub's dataset, for every split its base names. Unset, tasks read the hub.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rvec_merge.errors import TaskError, why
from rvec_merge.recipe.resources import folder

SWITCH = "RVEC_EVAL_DATA"
SAMPLE = "sample"


def sample_data() -> Path:
    """The folder of the shipped items, written for this project: for tests, not for results."""
    return folder("eval") / "data"


def data_folder() -> Path | None:
    """Where the switch points, or None for the hub.

    Raises:
        TaskError: the switch names a folder that does not exist.
    """
    value = os.environ.get(SWITCH)
    if not value:
        return None
    path = sample_data() if value == SAMPLE else Path(os.path.expanduser(value))
    if not path.is_dir():
        raise TaskError(
            f"{SWITCH} names a folder that does not exist.",
            [f"{SWITCH}={value}"],
            f"give a folder of <data>/<split>.jsonl files, or `{SAMPLE}`, or unset it.",
        )
    return path


def read_items(path: Path) -> list[dict[str, Any]]:
    """Read a JSON-lines file of items that all have the same columns.

    Raises:
        TaskError: the file is missing or empty, or a line is no such item.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(
            "A task's local data cannot be read.",
            [f"{path}: {why(error)}"],
            f"put the split there as JSON lines with the hub's columns, or unset {SWITCH}.",
        ) from None
    items: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        item = _parse(line)
        if item is None or (items and item.keys() != items[0].keys()):
            found = "no JSON object" if item is None else f"columns {', '.join(item)}"
            wanted = [f"the first item has {', '.join(items[0])}"] if items else []
            raise TaskError(
                "A line of a task's local data is not an item like the others.",
                [f"{path}:{number}: {found}", *wanted],
                "write one JSON object a line, all with the hub's columns.",
            )
        items.append(item)
    if not items:
        raise TaskError(
            "A task's local data holds no items.",
            [str(path)],
            "write one JSON object a line, all with the hub's columns.",
        )
    return items


def _parse(line: str) -> dict[str, Any] | None:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return item if isinstance(item, dict) and item else None


def digest(items: Sequence[dict[str, Any]]) -> str:
    """SHA-256 over the items, whatever file they came from."""
    lines = (json.dumps(item, sort_keys=True, ensure_ascii=False) for item in items)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()
