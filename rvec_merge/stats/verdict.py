"""What a controlled comparison says about a vector, by a rule fixed before the results exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from rvec_merge.errors import PlanError
from rvec_merge.stats.controls import (
    FEWEST_DRAWS,
    DrawTest,
    VectorTest,
    draw_tests,
    has_enough,
    vector_tests,
)
from rvec_merge.stats.power import Sampling, detectable_effect, sampling
from rvec_merge.stats.question import Beside, Question, Way, counted
from rvec_merge.stats.significance import ALPHA, RESAMPLES, Comparison, holm, in_one_unit, paired

RULE = f"""\
A question is one task and one condition, compared with its baseline on the same items.
All questions of a plan are one family. Alpha is {ALPHA}; every test is two-sided.

1. p is the paired test of condition against baseline, adjusted by Holm over the family.
2. The draws of each kind of control are a sample of that kind's directions, and the condition is a
   single case beside them: t = (condition - mean of draws) / (spread of draws * sqrt(1 + 1/k)),
   with k - 1 degrees of freedom. The denominator is at least the standard error of the paired
   difference from the mean of the draws. A kind of one or two draws borrows the spread of all
   draws about the means of their kinds. Any other vector is compared by itself, by a paired test.
   The question's combined p is the largest of these and of the test in 1, where a test in which
   the condition is not the higher one counts as 1. It is adjusted by Holm over the questions with
   {FEWEST_DRAWS} draws or more of one kind.
3. hurts: adjusted p < alpha, and the condition is lower.
   helps: adjusted combined p < alpha.
   helps, not shown to be above controls: adjusted p < alpha and the condition is higher, but 2 is
   not met.
   helps, without enough controls: the same, where no kind of control has {FEWEST_DRAWS} draws.
   no detectable effect: anything else; reported with the effect that this number of items
   finds four times in five at alpha divided by the size of the family.
4. Where outputs were cut off at the token budget, 1 to 3 are done three times: as they were scored;
   with them counted wrong in the better condition and right in the worse; and without the items
   that are cut off in either. If these do not all say the same: undecided: truncation."""


class Finding(str, Enum):
    """The six things a verdict can say."""

    HELPS = "helps"
    NOT_ABOVE = "helps, not shown to be above controls"
    UNCONTROLLED = "helps, without enough controls"
    NOTHING = "no detectable effect"
    HURTS = "hurts"
    UNDECIDED = "undecided: truncation"


@dataclass(frozen=True)
class Verdict:
    """The answer to one question.

    Attributes:
        comparison: condition against baseline, as the outputs were scored; so is all that follows
            but ``finding``.
        p_adjusted: its p after Holm.
        p_beyond_controls: the combined p after Holm; None where no kind has enough draws.
        controls: per kind of control.
        others: per other vector.
        control_share: per kind and other vector, its (mean) effect over the condition's; empty
            where no effect was detected, since a share of nothing means nothing.
        detectable: the smallest effect this number of items finds, None if there is none.
        truncated: share of items cut off at the token budget: the baseline's, the condition's.
        ways: what was found in each way of counting those; empty where there are none.
        budget: tokens that an output might have; None where it is not known.
        sampling: what of the uncertainty is due to sampling; None where an item has one output.
        beside: the same comparison measured in other ways, by their names; not adjusted.
    """

    task: str
    condition: str
    finding: Finding
    comparison: Comparison
    p_adjusted: float
    p_beyond_controls: float | None
    controls: tuple[DrawTest, ...]
    others: tuple[VectorTest, ...]
    control_share: Mapping[str, float]
    detectable: float | None
    family: int
    truncated: tuple[float, float] = (0.0, 0.0)
    ways: Mapping[Way, Finding] | None = None
    budget: int | None = None
    sampling: Sampling | None = None
    beside: Mapping[Beside, Comparison] = field(default_factory=dict)


def judge(
    questions: Sequence[Question], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Verdict, ...]:
    """Answer a plan's questions, all at once: they are one family. See ``RULE``.

    Raises:
        PlanError: a question, or one of its controls, is there twice.
        ResultsError: conditions of a question were not measured on the same items.
    """
    _require_distinct(questions)
    verdicts = _judged(questions, resamples, seed)
    if not any(one.truncated.any() for q in questions for one in q.every):
        return verdicts
    findings = {Way.SCORED: [v.finding for v in verdicts]}
    for way in (Way.AGAINST, Way.WITHOUT):
        told = _judged([counted(q, way) for q in questions], resamples, seed)
        findings[way] = [v.finding for v in told]
    return tuple(
        _with_truncation(verdict, question, {way: found[i] for way, found in findings.items()})
        for i, (verdict, question) in enumerate(zip(verdicts, questions, strict=True))
    )


def _with_truncation(verdict: Verdict, question: Question, ways: Mapping[Way, Finding]) -> Verdict:
    if not any(one.truncated.any() for one in question.every):
        return verdict
    finding = verdict.finding if len(set(ways.values())) == 1 else Finding.UNDECIDED
    cut = (question.baseline.truncated.mean(), question.outcomes.truncated.mean())
    return replace(verdict, finding=finding, truncated=(float(cut[0]), float(cut[1])), ways=ways)


def _judged(questions: Sequence[Question], resamples: int, seed: int) -> tuple[Verdict, ...]:
    """Points 1 to 3 of the rule."""
    comparisons: list[Comparison] = []
    draws: list[tuple[DrawTest, ...]] = []
    others: list[tuple[VectorTest, ...]] = []
    for q in questions:
        effect = paired(q.baseline, q.outcomes, resamples=resamples, seed=seed)
        rivals = vector_tests(q.baseline, q.outcomes, q.others, resamples=resamples, seed=seed)
        first, *rest = in_one_unit([effect, *(c for r in rivals for c in (r.effect, r.margin))])
        comparisons.append(first)
        units = zip(rivals, rest[::2], rest[1::2], strict=True)
        others.append(tuple(VectorTest(rival.name, *tests) for rival, *tests in units))
        draws.append(draw_tests(q.baseline, q.outcomes, q.controls))
    adjusted = holm({i: c.p for i, c in enumerate(comparisons)})
    beyond = holm(
        {
            i: _combined(comparisons[i], draws[i], others[i])
            for i, q in enumerate(questions)
            if has_enough(q.controls)
        }
    )
    return tuple(
        Verdict(
            task=q.task,
            condition=q.condition,
            finding=(finding := _finding(comparisons[i].difference, adjusted[i], beyond.get(i))),
            comparison=comparisons[i],
            p_adjusted=adjusted[i],
            p_beyond_controls=beyond.get(i),
            controls=draws[i],
            others=others[i],
            control_share={}
            if finding is Finding.NOTHING
            else _share(comparisons[i].difference, draws[i], others[i]),
            detectable=detectable_effect(comparisons[i], alpha=ALPHA / len(questions)),
            family=len(questions),
            budget=q.budget,
            sampling=sampling(q.baseline, q.outcomes),
            beside={
                name: paired(*pair, resamples=resamples, seed=seed)
                for name, pair in q.beside.items()
            },
        )
        for i, q in enumerate(questions)
    )


def _combined(
    comparison: Comparison, draws: Sequence[DrawTest], others: Sequence[VectorTest]
) -> float:
    tests = [(test.margin, test.p) for test in draws]
    tests += [(c.difference, c.p) for c in (comparison, *(other.margin for other in others))]
    return max(p if margin > 0 else 1.0 for margin, p in tests)


def _finding(difference: float, p_adjusted: float, p_beyond: float | None) -> Finding:
    if p_adjusted >= ALPHA or difference == 0:
        return Finding.NOTHING
    if difference < 0:
        return Finding.HURTS
    if p_beyond is None:
        return Finding.UNCONTROLLED
    return Finding.HELPS if p_beyond < ALPHA else Finding.NOT_ABOVE


def _share(
    difference: float, draws: Sequence[DrawTest], others: Sequence[VectorTest]
) -> dict[str, float]:
    means = {test.kind: sum(test.effects) / len(test.effects) for test in draws}
    means |= {other.name: other.effect.difference for other in others}
    return {name: effect / difference for name, effect in means.items()}


def _require_distinct(questions: Sequence[Question]) -> None:
    asked = [f"{q.task}, {q.condition}" for q in questions]
    named = [
        f"{q.task}, {q.condition}, {name}"
        for q in questions
        for name in (*(f"{c.kind} {c.seed}" for c in q.controls), *(o.name for o in q.others))
    ]
    for what, names in (("question", asked), ("control", named)):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise PlanError(
                f"A {what} is there twice.",
                twice[:3],
                "name each one once; a repeat would count as evidence.",
            )
