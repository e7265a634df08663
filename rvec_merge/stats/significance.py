"""Paired comparison of two conditions on the same items: difference, interval, test, power."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from rvec_merge.errors import ResultsError
from rvec_merge.stats.intervals import combined
from rvec_merge.stats.resampling import Changes, Floats, estimate, sign_flip_p

RESAMPLES = 10_000
ALPHA = 0.05

Key = TypeVar("Key", bound=Hashable)
Weighting = Literal["items", "strata"]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One metric's value for every item, under one condition.

    Shapes: all ``(n,)``, kept sorted by item. ``items`` name the items, each once; ``strata``
        (a group's subtasks) default to one stratum; ``truncated``, whether an output of the item
        was cut off at the token budget, to no.

    Attributes:
        samples: outputs per item, of which a value is the mean.

    Raises:
        ResultsError: lengths differ, an item occurs twice, or a value is not finite.
    """

    items: NDArray[Any]
    values: Floats
    strata: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    truncated: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    samples: int = 1

    def __post_init__(self) -> None:
        items, values = np.asarray(self.items), np.asarray(self.values, dtype=np.float64)
        strata, truncated = np.asarray(self.strata), np.asarray(self.truncated, dtype=np.bool_)
        strata = strata if strata.size else np.zeros(items.shape, dtype=np.int64)
        truncated = truncated if truncated.size else np.zeros(items.shape, dtype=np.bool_)
        shapes = (items.shape, values.shape, strata.shape, truncated.shape)
        if items.ndim != 1 or len(set(shapes)) > 1:
            raise ResultsError(
                "Items, values and strata are not one list each of the same length.",
                ["items {}, values {}, strata {}, truncated {}".format(*shapes)],
                "give one value and one stratum per item.",
            )
        # One order for all, so that no sum depends on the order in which the items came.
        order = np.argsort(items, kind="stable")
        items, values = items[order], values[order]
        strata, truncated = strata[order], truncated[order]
        repeated = items[1:][items[1:] == items[:-1]]
        if repeated.size:
            raise ResultsError(
                "An item occurs more than once.",
                [f"item {name}" for name in repeated[:3]],
                "keep one outcome per item.",
            )
        if not np.isfinite(values).all():
            raise ResultsError(
                "An outcome is not a finite number.",
                [f"item {name}" for name in items[~np.isfinite(values)][:3]],
                "find out why the metric gave no number for it.",
            )
        for name, array in zip(
            ("items", "values", "strata", "truncated"),
            (items, values, strata, truncated),
            strict=True,
        ):
            object.__setattr__(self, name, array)

    def kept(self, mask: NDArray[np.bool_]) -> Outcomes:
        """The items that the mask takes. Shapes: ``(n,)``, in the order of ``items``."""
        items, values = self.items[mask], self.values[mask]
        return Outcomes(items, values, self.strata[mask], self.truncated[mask], self.samples)

    @property
    def are_shares(self) -> bool:
        """Whether every value is the share of an item's outputs that are right."""
        right = self.values * self.samples
        return bool(
            np.isclose(right, np.round(right)).all()
            and (right > -0.5).all()
            and (right < self.samples + 0.5).all()
        )


def shared(several: Sequence[Outcomes]) -> list[Outcomes]:
    """Each on the items that all of them have: an item that was not judged in one is in none."""
    common = several[0].items
    for one in several[1:]:
        common = np.intersect1d(common, one.items, assume_unique=True)
    if all(one.items.size == common.size for one in several):
        return list(several)
    return [one.kept(np.isin(one.items, common)) for one in several]


def in_one_unit(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons of one metric: points only if every one of them is of 0/1 values."""
    binary = all(comparison.binary for comparison in comparisons)
    return [replace(comparison, binary=binary) for comparison in comparisons]


def pool(tasks: Mapping[str, Outcomes]) -> Outcomes:
    """Join a group's tasks into one set of outcomes with a stratum per task."""
    return Outcomes(
        items=np.array([f"{task}:{item}" for task, one in tasks.items() for item in one.items]),
        values=np.concatenate([one.values for one in tasks.values()]),
        strata=np.array([task for task, one in tasks.items() for _ in one.items]),
    )


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error, ``s / sqrt(n)`` (within strata where there are any)."""

    n: int
    mean: float
    standard_error: float


@dataclass(frozen=True)
class Comparison:
    """What changed between two conditions on the same items: ``condition − baseline``.

    Attributes:
        low, high: 95 % interval of the difference, not adjusted for how many are shown: a score
            interval of 0/1 values, a paired bootstrap of others.
        rose, fell: items whose value is higher, or lower, under the condition.
        binary: every output is right or wrong, also in what it is shown with; differences are
            points then.
        p: two-sided; `test` says how it was found.
    """

    n: int
    baseline: Mean
    condition: Mean
    difference: float
    standard_error: float
    low: float
    high: float
    rose: int
    fell: int
    binary: bool
    p: float
    test: Literal["exact McNemar", "exact sign flips", "sampled sign flips"]


def paired(
    baseline: Outcomes,
    condition: Outcomes,
    *,
    weighting: Weighting = "items",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two conditions item by item.

    Weighting: ``items`` gives every item the same weight (a pooled mean), ``strata`` every
        stratum (a mean of task means). With one stratum they are the same.

    Deterministic: the result depends on the outcomes and the seed alone, not on the order of
    the items; swapping the arguments negates it exactly.

    Raises:
        ResultsError: the items or their strata differ, or there are too few of them.
    """
    require_same_items(baseline, condition)
    before, after, change = baseline.values, condition.values, condition.values - baseline.values
    stratum, sizes = _strata(baseline)
    n = int(sizes.sum())
    weights = np.full(sizes.size, 1 / n) if weighting == "items" else 1 / (sizes.size * sizes)
    strata = []
    for t, weight in enumerate(weights):
        values, counts = np.unique(change[stratum == t], return_counts=True)
        strata.append(Changes(values, counts, weight))
    single = bool((before * (1 - before) == 0).all() and (after * (1 - after) == 0).all())
    if single:
        difference = float(sum(s.weight * (s.values @ s.counts) for s in strata))
        low, high = combined((s.weight * s.size, *s.directions(), s.size) for s in strata)
    else:
        difference, low, high = estimate(strata, resamples, seed)
    p, exact = sign_flip_p(weights[stratum] * change, resamples, seed)
    return Comparison(
        n=n,
        baseline=_mean(before, stratum, weights, sizes),
        condition=_mean(after, stratum, weights, sizes),
        difference=difference,
        standard_error=_mean(change, stratum, weights, sizes).standard_error,
        low=low,
        high=high,
        rose=int((change > 0).sum()),
        fell=int((change < 0).sum()),
        binary=single or (baseline.are_shares and condition.are_shares),
        p=p,
        test=("exact McNemar" if single else "exact sign flips") if exact else "sampled sign flips",
    )


def mean(outcomes: Outcomes) -> Mean:
    """Average the outcomes, every item with the same weight (a pooled mean for a group)."""
    stratum, sizes = _strata(outcomes)
    return _mean(outcomes.values, stratum, np.full(sizes.size, 1 / sizes.sum()), sizes)


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """Adjust p-values over their family: reject where the result is below alpha.

    The k-th smallest of m is multiplied by ``m − k + 1``, and none is below a smaller one's.
    Written out because statsmodels' ``multipletests`` collects garbage on every call (0.1 s).

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    adjusted: dict[Key, float] = {}
    reached = 0.0
    for rank, key in enumerate(sorted(p, key=p.__getitem__)):
        reached = max(reached, min(1.0, (len(p) - rank) * p[key]))
        adjusted[key] = reached
    return {key: adjusted[key] for key in p}


def require_same_items(a: Outcomes, b: Outcomes) -> None:
    """Refuse to compare conditions item by item that are not of the same items, or of too few.

    Raises:
        ResultsError: the items or their strata differ, or there are too few of them.
    """
    if not np.array_equal(a.items, b.items) or not np.array_equal(a.strata, b.strata):
        both = np.intersect1d(a.items, b.items).size
        raise ResultsError(
            "The two conditions were not measured on the same items.",
            [f"{a.items.size} items and {b.items.size} items, {both} in common"],
            "evaluate both on the same items: same task, same limit.",
        )
    if a.items.size <= np.unique(a.strata).size:
        raise ResultsError(
            f"{a.items.size} items are too few to estimate an error from.",
            fix="evaluate at least two items, and more items than subtasks.",
        )


def _strata(outcomes: Outcomes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    _, stratum = np.unique(outcomes.strata, return_inverse=True)
    return stratum, np.bincount(stratum)


def _mean(
    values: Floats, stratum: NDArray[np.intp], weights: Floats, sizes: NDArray[np.intp]
) -> Mean:
    centre = np.bincount(stratum, values) / sizes
    squares = np.bincount(stratum, (values - centre[stratum]) ** 2)
    variance = (weights**2 * sizes * squares / np.maximum(sizes - 1, 1)).sum()
    return Mean(
        n=int(sizes.sum()),
        mean=float((weights * sizes) @ centre),
        standard_error=float(np.sqrt(variance)),
    )
