"""Outcomes made up for a test."""

import numpy as np

from rvec_merge.stats.controls import ControlDraw
from rvec_merge.stats.question import Question
from rvec_merge.stats.significance import Outcomes

# Darwin's maize, 15 pairs, crossed minus self-fertilised height in eighths of an inch, and the
# share of the 2^15 signs that give a sum as far out: Fisher 1935, The Design of Experiments, §21
# (863 of 32,768 on one side).
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
MAIZE_P = 2 * 863 / 32_768
N = 400


def outcomes(values, strata=()) -> Outcomes:
    return Outcomes(np.arange(len(values)), np.array(values, dtype=float), np.array(strata))


def changed(rose: int, fell: int, same: int) -> tuple[Outcomes, Outcomes]:
    before = [0] * rose + [1] * fell + [0] * (same // 2) + [1] * (same - same // 2)
    after = [1] * rose + [0] * fell + before[rose + fell :]
    return outcomes(before), outcomes(after)


def right(*ranges: tuple[int, int], n: int = N) -> Outcomes:
    """Outcomes that are right on these half-open ranges of items."""
    values = np.zeros(n)
    for start, stop in ranges:
        values[start:stop] = 1
    return Outcomes(np.arange(n), values)


TARGET = right((0, 200))
GAIN = right((0, 240))
SAME_GAIN = right((0, 200), (300, 340))
LITTLE = right((0, 195), (200, 207))
LOSS = right((40, 200))


def ask(condition: Outcomes, *controls: Outcomes, task: str = "gsm8k") -> Question:
    drawn = tuple(ControlDraw("random", seed, one) for seed, one in enumerate(controls))
    return Question(task, "+vector", TARGET, condition, drawn)
