"""Models that think before they answer: what filters are given of their outputs."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from lm_eval.api.filter import Filter

from rvec_merge.tasks.answer.find import after


class _AfterThinking(Filter):  # type: ignore[misc]
    def __init__(self, end: str) -> None:
        super().__init__()
        self._end = end

    def apply(
        self, resps: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]
    ) -> list[list[str]]:
        return [[after(output, self._end)[0] for output in outputs] for outputs in resps]


def read_after(task: Any, end: str) -> None:
    """Have a generating task's filters, and its metric ``answer``, see what follows ``end`` alone.

    The outputs themselves are recorded whole. A second call with the same task changes nothing.
    """
    if task.config.output_type != "generate_until" or getattr(task, "think_end", None) == end:
        return
    for ensemble in task._filters:
        ensemble.filters.insert(0, partial(_AfterThinking, end))
    task.think_end = end
