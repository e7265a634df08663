"""What a controlled comparison says about a vector, by a rule fixed before the results exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from rvec_merge.errors import PlanError
from rvec_merge.stats.power import detectable_effect
from rvec_merge.stats.significance import (
    ALPHA,
    RESAMPLES,
    Comparison,
    Outcomes,
    holm,
    in_one_unit,
    paired,
)

RULE = f"""\
A question is one task and one condition, compared with its baseline on the same items.
All questions of a plan are one family. Alpha is {ALPHA}; every test is two-sided.

1. p is the paired test of condition against baseline, adjusted by Holm over the family.
2. For every control draw, a paired test of the condition against that control. The question's
   combined p is the largest of these and of the test in 1, where a test in which the condition
   is not the higher one counts as 1. It is adjusted by Holm over the questions with controls.
3. hurts: adjusted p < alpha, and the condition is lower.
   helps: adjusted combined p < alpha.
   helps, but so does a control: adjusted p < alpha and the condition is higher, but 2 is not met.
   helps, no control was run: the same, where the plan has no control for the question.
   no detectable effect: anything else; reported with the effect that this number of items
   finds four times in five at alpha divided by the size of the family."""


class Finding(str, Enum):
    """The five things a verdict can say."""

    HELPS = "helps"
    CONTROL_TOO = "helps, but so does a control"
    UNCONTROLLED = "helps, no control was run"
    NOTHING = "no detectable effect"
    HURTS = "hurts"


@dataclass(frozen=True)
class ControlDraw:
    """One control draw, evaluated on the question's items. ``kind``: ``random``, ``permuted``."""

    kind: str
    seed: int
    outcomes: Outcomes


@dataclass(frozen=True)
class Question:
    """Does ``condition`` beat its baseline, and every control, on one task?"""

    task: str
    condition: str
    baseline: Outcomes
    outcomes: Outcomes
    controls: tuple[ControlDraw, ...] = ()


@dataclass(frozen=True)
class ControlResult:
    """One control draw: its ``effect`` on the baseline; the condition's ``margin`` over it."""

    kind: str
    seed: int
    effect: Comparison
    margin: Comparison


@dataclass(frozen=True)
class Verdict:
    """The answer to one question.

    Attributes:
        comparison: condition against baseline.
        p_adjusted: its p after Holm.
        p_beyond_controls: the combined p after Holm; None without controls.
        control_share: per kind of control, the mean effect of its draws over the condition's;
            empty where no effect was detected, since a share of nothing means nothing.
        detectable: the smallest effect this number of items finds, None if there is none.
    """

    task: str
    condition: str
    finding: Finding
    comparison: Comparison
    p_adjusted: float
    p_beyond_controls: float | None
    controls: tuple[ControlResult, ...]
    control_share: Mapping[str, float]
    detectable: float | None
    family: int


def judge(
    questions: Sequence[Question], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Verdict, ...]:
    """Answer a plan's questions, all at once: they are one family. See ``RULE``.

    Raises:
        PlanError: a question, or one of its control draws, is there twice.
        ResultsError: conditions of a question were not measured on the same items.
    """
    _require_distinct(questions)

    def against(a: Outcomes, b: Outcomes) -> Comparison:
        return paired(a, b, resamples=resamples, seed=seed)

    comparisons, controls = [], []
    for q in questions:
        effects = [against(q.baseline, c.outcomes) for c in q.controls]
        margins = [against(c.outcomes, q.outcomes) for c in q.controls]
        first, *rest = in_one_unit([against(q.baseline, q.outcomes), *effects, *margins])
        effects, margins = rest[: len(effects)], rest[len(effects) :]
        comparisons.append(first)
        drawn = zip(q.controls, effects, margins, strict=True)
        controls.append(tuple(ControlResult(c.kind, c.seed, *tests) for c, *tests in drawn))
    adjusted = holm({i: c.p for i, c in enumerate(comparisons)})
    beyond = holm(
        {
            i: max(_p_higher(test) for test in (comparison, *(c.margin for c in draws)))
            for i, (comparison, draws) in enumerate(zip(comparisons, controls, strict=True))
            if draws
        }
    )
    return tuple(
        _verdict(q, comparisons[i], adjusted[i], beyond.get(i), controls[i], len(questions))
        for i, q in enumerate(questions)
    )


def _p_higher(comparison: Comparison) -> float:
    return comparison.p if comparison.difference > 0 else 1.0


def _verdict(
    question: Question,
    comparison: Comparison,
    p_adjusted: float,
    p_beyond: float | None,
    controls: tuple[ControlResult, ...],
    family: int,
) -> Verdict:
    finding = _finding(comparison.difference, p_adjusted, p_beyond)
    share = {} if finding is Finding.NOTHING else _control_share(comparison, controls)
    detectable = detectable_effect(comparison, alpha=ALPHA / family)
    return Verdict(
        task=question.task,
        condition=question.condition,
        finding=finding,
        comparison=comparison,
        p_adjusted=p_adjusted,
        p_beyond_controls=p_beyond,
        controls=controls,
        control_share=share,
        detectable=detectable,
        family=family,
    )


def _finding(difference: float, p_adjusted: float, p_beyond: float | None) -> Finding:
    if p_adjusted >= ALPHA or difference == 0:
        return Finding.NOTHING
    if difference < 0:
        return Finding.HURTS
    if p_beyond is None:
        return Finding.UNCONTROLLED
    return Finding.HELPS if p_beyond < ALPHA else Finding.CONTROL_TOO


def _control_share(comparison: Comparison, controls: tuple[ControlResult, ...]) -> dict[str, float]:
    effects: dict[str, list[float]] = {}
    for control in controls:
        effects.setdefault(control.kind, []).append(control.effect.difference)
    return {
        kind: sum(drawn) / len(drawn) / comparison.difference for kind, drawn in effects.items()
    }


def _require_distinct(questions: Sequence[Question]) -> None:
    asked = [f"{q.task}, {q.condition}" for q in questions]
    drawn = [f"{q.task}, {q.condition}, {c.kind} {c.seed}" for q in questions for c in q.controls]
    for what, names in (("question", asked), ("control draw", drawn)):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise PlanError(
                f"A {what} is there twice.",
                twice[:3],
                "name each one once; a repeat would count as evidence.",
            )
