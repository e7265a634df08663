"""Reading an answer and its worked steps out of what a model wrote."""

from __future__ import annotations

import re

MARK = "####"
_STEP = re.compile(r"\d+\s*[-+*]\s*\d+\s*=\s*\d+")


def read_answer(text: str) -> str | None:
    """Return what stands after the last ``####``, or None if nothing does."""
    _, mark, answer = text.rpartition(MARK)
    return answer.strip() or None if mark else None


def count_steps(text: str) -> int:
    """Count the worked lines, right or wrong."""
    return sum(bool(_STEP.fullmatch(line.strip())) for line in text.splitlines())
