"""What is asked of a vector on one task, and the ways in which truncated outputs may be counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal

import numpy as np

from rvec_merge.stats.controls import ControlDraw, OtherVector
from rvec_merge.stats.significance import Outcomes

# By the filter of the task's own; with the worked steps forced, in both conditions.
Beside = Literal["strict", "forced"]


@dataclass(frozen=True)
class Question:
    """Does ``condition`` beat its baseline, and what its controls do, on one task?

    Attributes:
        controls: draws of each kind.
        others: other vectors at the same norm.
        budget: tokens that an output may have; None where it is not known.
        beside: baseline and condition measured in another way; told, not judged.
    """

    task: str
    condition: str
    baseline: Outcomes
    outcomes: Outcomes
    controls: tuple[ControlDraw, ...] = ()
    others: tuple[OtherVector, ...] = ()
    budget: int | None = None
    beside: Mapping[Beside, tuple[Outcomes, Outcomes]] = field(default_factory=dict)

    def each(self, change: Callable[[Outcomes], Outcomes]) -> Question:
        """The question with every condition's outcomes changed alike."""
        return replace(
            self,
            baseline=change(self.baseline),
            outcomes=change(self.outcomes),
            controls=tuple(replace(c, outcomes=change(c.outcomes)) for c in self.controls),
            others=tuple(replace(o, outcomes=change(o.outcomes)) for o in self.others),
        )

    @property
    def every(self) -> list[Outcomes]:
        """The outcomes of every condition."""
        draws, others = ([o.outcomes for o in beside] for beside in (self.controls, self.others))
        return [self.baseline, self.outcomes, *draws, *others]


class Way(str, Enum):
    """How outputs that were cut off at the token budget are counted."""

    SCORED = "as they were scored"
    AGAINST = "against the better condition"
    WITHOUT = "without their items"


def counted(question: Question, way: Way) -> Question:
    """The question with its truncated outputs counted in one way.

    Against the better: wrong there, and right in the worse; for a gain the worse are the target
    and all controls. A metric that is no share of right answers knows no right and wrong: it is
    left as it was scored. Without: an item goes if it is truncated in the condition or the target;
    where too few stay to estimate an error from, nothing is shown: the condition is its baseline.
    """
    if way is Way.SCORED:
        return question
    if way is Way.WITHOUT:
        whole = ~(question.baseline.truncated | question.outcomes.truncated)
        left = question.baseline.strata[whole]
        if left.size <= np.unique(left).size:
            return replace(question, outcomes=question.baseline)
        return question.each(lambda one: one.kept(whole))
    if any(((one.values < 0) | (one.values > 1)).any() for one in question.every):
        return question
    gain = question.outcomes.values.mean() >= question.baseline.values.mean()
    rest = question.each(lambda one: _as(one, 1.0 if gain else 0.0))
    return replace(rest, outcomes=_as(question.outcomes, 0.0 if gain else 1.0))


def _as(outcomes: Outcomes, value: float) -> Outcomes:
    return replace(outcomes, values=np.where(outcomes.truncated, value, outcomes.values))
