"""Paired comparison of two conditions on the same items: difference, interval, test, power."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rvec_merge.errors import ResultsError

RESAMPLES = 10_000
CONFIDENCE = 0.95
ALPHA = 0.05

# Draws held at once: 8 MiB of counts, whatever the number of items.
_BLOCK = 1 << 20

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)
Weighting = Literal["items", "strata"]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One metric's value for every item, under one condition.

    Shapes: all ``(n,)``, kept sorted by item. ``items`` name the items, each once; ``strata``
        (a group's subtasks) default to one stratum.

    Raises:
        ResultsError: lengths differ, an item occurs twice, or a value is not finite.
    """

    items: NDArray[Any]
    values: Floats
    strata: NDArray[Any] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        items, values = np.asarray(self.items), np.asarray(self.values, dtype=np.float64)
        strata = np.asarray(self.strata)
        if not strata.size:
            strata = np.zeros(items.shape, dtype=np.int64)
        if items.ndim != 1 or items.shape != values.shape or items.shape != strata.shape:
            raise ResultsError(
                "Items, values and strata are not one list each of the same length.",
                [f"items {items.shape}, values {values.shape}, strata {strata.shape}"],
                "give one value and one stratum per item.",
            )
        # One order for all, so that no sum depends on the order in which the items came.
        order = np.argsort(items, kind="stable")
        items, values, strata = items[order], values[order], strata[order]
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
        for name, array in (("items", items), ("values", values), ("strata", strata)):
            object.__setattr__(self, name, array)


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
        low, high: 95 % paired-bootstrap interval of the difference.
        rose, fell: items whose value is higher, or lower, under the condition.
        binary: every value is 0 or 1, so that ``rose`` and ``fell`` are McNemar's counts.
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
    _require_same_items(baseline, condition)
    before, after, change = baseline.values, condition.values, condition.values - baseline.values
    stratum, sizes = _strata(baseline)
    n = int(sizes.sum())
    weights = np.full(sizes.size, 1 / n) if weighting == "items" else 1 / (sizes.size * sizes)
    histograms, turned = _one_way_round(
        [
            _Histogram(*np.unique(change[stratum == t], return_counts=True), weight)
            for t, weight in enumerate(weights)
        ]
    )
    difference = float(sum(h.weight * (h.values @ h.counts) for h in histograms))
    low, high = _interval(histograms, resamples, seed)
    if turned:
        difference, low, high = -difference, -high, -low
    binary = bool((before * (1 - before) == 0).all() and (after * (1 - after) == 0).all())
    p, exact = _sign_flip_p(weights[stratum] * change, resamples, seed)
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
        binary=binary,
        p=p,
        test=("exact McNemar" if binary else "exact sign flips") if exact else "sampled sign flips",
    )


def mean(outcomes: Outcomes) -> Mean:
    """Average the outcomes, every item with the same weight (a pooled mean for a group)."""
    stratum, sizes = _strata(outcomes)
    return _mean(outcomes.values, stratum, np.full(sizes.size, 1 / sizes.sum()), sizes)


def mcnemar_p(rose: Any, fell: Any) -> Any:
    """Exact two-sided McNemar p: ``2 P(X <= min(rose, fell))``, X binomial(rose + fell, 1/2).

    Shapes: counts of any one shape; the result has it too.
    """
    return np.minimum(1.0, 2 * special.bdtr(np.minimum(rose, fell), np.add(rose, fell), 0.5))


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


def _require_same_items(a: Outcomes, b: Outcomes) -> None:
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


@dataclass(frozen=True)
class _Histogram:
    """How often each change occurs in one stratum, and the weight of one item there."""

    values: Floats
    counts: NDArray[np.intp]
    weight: float

    def turned(self) -> _Histogram:
        return _Histogram(0.0 - self.values[::-1], self.counts[::-1], self.weight)

    def key(self) -> tuple[list[float], list[int]]:
        return self.values.tolist(), self.counts.tolist()


def _one_way_round(histograms: list[_Histogram]) -> tuple[list[_Histogram], bool]:
    """Pick one of a comparison and its mirror image, so that both draw the same numbers."""
    turned = [h.turned() for h in histograms]
    if [h.key() for h in turned] > [h.key() for h in histograms]:
        return turned, True
    return histograms, False


def _interval(histograms: list[_Histogram], resamples: int, seed: int) -> tuple[float, float]:
    """Percentile interval of the bootstrapped mean change, resampled within strata.

    A resample of n items is a multinomial draw over the distinct changes, so nothing of size
    (resamples, n) is made. The percentiles are moved outwards to make up for the bootstrap's
    narrowness in small samples.

    Source: "expanded percentile" interval, Hesterberg 2015 (The American Statistician 69:371).
    """
    random = np.random.default_rng(seed)
    drawn = np.zeros(resamples)
    n = sum(int(h.counts.sum()) for h in histograms)
    for h in histograms:
        size = int(h.counts.sum())
        step = max(1, _BLOCK // h.values.size)
        for start in range(0, resamples, step):
            block = min(step, resamples - start)
            counts = random.multinomial(size, h.counts / size, size=block)
            drawn[start : start + block] += h.weight * (counts @ h.values)
    freedom = n - len(histograms)
    tail = special.ndtr(np.sqrt(n / freedom) * special.stdtrit(freedom, (1 - CONFIDENCE) / 2))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    if all(h.key() == h.turned().key() for h in histograms):
        # The distribution is its own mirror image; so is the interval then, not only nearly.
        half = (high - low) / 2
        return -float(half), float(half)
    return float(low), float(high)


def _sign_flip_p(change: Floats, resamples: int, seed: int) -> tuple[float, bool]:
    """Two-sided p of the sum of changes when each could as well have had the other sign.

    Flipping signs at random is a binomial draw per distinct size of change. Where all changes
    have one size, as with 0/1 outcomes, the p-value is exact and is McNemar's.
    """
    sizes, counts = np.unique(np.abs(change[change != 0]), return_counts=True)
    if sizes.size <= 1:
        return float(mcnemar_p((change > 0).sum(), (change < 0).sum())), True
    random = np.random.default_rng(seed)
    # Sums that are equal but for rounding must count as equal.
    observed = abs(float(np.sort(change).sum())) * (1 - 1e-12)
    beyond = 0
    step = max(1, _BLOCK // sizes.size)
    for start in range(0, resamples, step):
        positive = random.binomial(counts, 0.5, size=(min(step, resamples - start), sizes.size))
        beyond += int((np.abs((2 * positive - counts) @ sizes) >= observed).sum())
    return (1 + beyond) / (1 + resamples), False
