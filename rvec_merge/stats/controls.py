"""Tests against controls: draws are a sample of directions, another vector is a rival by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from scipy import special

from rvec_merge.stats.significance import Comparison, Outcomes, mean, paired, require_same_items

# Of one kind: two draws say next to nothing of how much draws vary.
FEWEST_DRAWS = 3


@dataclass(frozen=True)
class ControlDraw:
    """One control draw, evaluated on the question's items. ``kind``: ``random``, ``permuted``."""

    kind: str
    seed: int
    outcomes: Outcomes


@dataclass(frozen=True)
class OtherVector:
    """Another vector at the same norm, evaluated on the question's items: a control by name."""

    name: str
    outcomes: Outcomes


@dataclass(frozen=True)
class DrawTest:
    """Is the condition one more draw of this kind of control?

    Attributes:
        effects: every draw's difference from the baseline, by seed.
        margin: the condition's mean over the draws' mean.
        spread: standard deviation between draws: of this kind where there are three or more, else
            of all kinds about their own means.
        standard_error: of the margin, if the condition were one more draw.
        freedom: of ``spread``.
        p: two-sided, of ``margin / standard_error`` by Student's t; 1 where nothing tells the
            spread.
    """

    kind: str
    effects: tuple[float, ...]
    margin: float
    spread: float
    standard_error: float
    freedom: int
    p: float


@dataclass(frozen=True)
class VectorTest:
    """Is the condition above another vector? ``effect``: that one's; ``margin``: over it."""

    name: str
    effect: Comparison
    margin: Comparison


def draw_tests(
    baseline: Outcomes, condition: Outcomes, draws: Sequence[ControlDraw]
) -> tuple[DrawTest, ...]:
    """Test a condition against each kind of control.

    The draws of a kind are a small sample of the directions of that kind, and the condition is a
    single case: ``t = (x − mean) / (s · sqrt(1 + 1/k))`` with ``k − 1`` degrees of freedom. Each
    draw's mean holds its own share of the items' noise, as the condition's does, so that ``s``
    holds both. Draws that agree better than the items' noise lets them do so by chance; so the
    standard error is never below that of the paired difference from the draws' mean.

    Raises:
        ResultsError: a draw was not measured on the condition's items.

    Source: Crawford and Howell 1998, The Clinical Neuropsychologist 12:482.
    """
    kinds: dict[str, list[ControlDraw]] = {}
    for draw in draws:
        require_same_items(condition, draw.outcomes)
        kinds.setdefault(draw.kind, []).append(draw)
    means = {kind: [d.outcomes.values.mean() for d in drawn] for kind, drawn in kinds.items()}
    together = _spread(list(means.values()))
    tests = []
    for kind, drawn in kinds.items():
        own = len(drawn) >= FEWEST_DRAWS
        spread, freedom = _spread([means[kind]]) if own else together
        middle = np.mean([d.outcomes.values for d in drawn], axis=0)
        change = mean(Outcomes(condition.items, condition.values - middle, condition.strata))
        error = max(spread * sqrt(1 + 1 / len(drawn)), change.standard_error)
        p = _two_sided(change.mean, error, freedom)
        effects = tuple(float(m - baseline.values.mean()) for m in means[kind])
        tests.append(DrawTest(kind, effects, change.mean, spread, error, freedom, p))
    return tuple(tests)


def has_enough(draws: Sequence[ControlDraw]) -> bool:
    """Whether some kind has draws enough to say how much they vary."""
    return any(n >= FEWEST_DRAWS for n in Counter(draw.kind for draw in draws).values())


def vector_tests(
    baseline: Outcomes,
    condition: Outcomes,
    others: Sequence[OtherVector],
    *,
    resamples: int,
    seed: int,
) -> tuple[VectorTest, ...]:
    """Test a condition against other vectors, each by itself: they are no sample of anything."""
    return tuple(
        VectorTest(
            other.name,
            paired(baseline, other.outcomes, resamples=resamples, seed=seed),
            paired(other.outcomes, condition, resamples=resamples, seed=seed),
        )
        for other in others
    )


def _spread(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Standard deviation within groups, and its degrees of freedom; 0 where nothing tells."""
    freedom = sum(len(group) - 1 for group in groups)
    squares = sum(float(((np.array(g) - np.mean(g)) ** 2).sum()) for g in groups)
    return (sqrt(squares / freedom) if freedom else 0.0), freedom


def _two_sided(margin: float, error: float, freedom: int) -> float:
    if not freedom:
        return 1.0
    t = abs(margin) / error if error else (inf if margin else 0.0)
    return float(2 * special.stdtr(freedom, -t))
