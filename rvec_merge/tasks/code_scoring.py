"""pass@1 for generated code; ``sandbox`` runs it.

The opt-in is lm-eval's own: tasks are marked ``unsafe_code``, and nothing runs without
``--confirm_run_unsafe_code``.
"""

import re
from collections.abc import Sequence
from typing import Any

from rvec_merge.sandbox.run import isolation, run_program

_STOP = re.compile(r"\n(?:class|def|#|if|print)")  # humaneval.yaml's `until`


def pass_at_1(
    references: Sequence[str], predictions: Sequence[Sequence[str]], **_: Any
) -> dict[str, float]:
    """lm-eval metric: share of one item's programs that pass its tests.

    ``references`` holds the item's tests, ``predictions`` its programs.
    """
    isolation()
    programs = predictions[0]
    passed = [run_program(program, references[0]).passed for program in programs]
    return {"pass@1": sum(passed) / len(passed)}


def complete(resps: Sequence[Sequence[str]], docs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """lm-eval filter: the item's own prompt (never the perturbed one) and what was generated,
    up to where the built-in task would have stopped.
    """
    return [
        [doc["prompt"] + _STOP.split(text, maxsplit=1)[0] for text in texts]
        for texts, doc in zip(resps, docs, strict=True)
    ]


def complete_fenced(
    resps: Sequence[Sequence[str]], docs: Sequence[dict[str, Any]]
) -> list[list[str]]:
    """Like ``complete``, for chat models: what was generated ends at the closing fence."""
    cut = [[text.split("```", 1)[0] for text in texts] for texts in resps]
    return complete(cut, docs)
