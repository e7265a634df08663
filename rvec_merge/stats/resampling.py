"""Intervals and tests of a mean change, drawn by counts of distinct changes, not by items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rvec_merge.stats.intervals import CONFIDENCE

# Counts held at once: 8 MiB of them, whatever the number of items.
_BLOCK = 1 << 20

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Changes:
    """How often each change occurs in one stratum, and the weight of one item there.

    Shapes: ``values`` (ascending) and ``counts`` are ``(distinct,)``.
    """

    values: Floats
    counts: NDArray[np.intp]
    weight: float

    @property
    def size(self) -> int:
        return int(self.counts.sum())

    def directions(self) -> tuple[int, int]:
        """How many items rose, and how many fell."""
        rose, fell = (self.counts[side].sum() for side in (self.values > 0, self.values < 0))
        return int(rose), int(fell)

    def mirrored(self) -> Changes:
        """The same changes with the other sign."""
        return Changes(0.0 - self.values[::-1], self.counts[::-1], self.weight)

    def key(self) -> tuple[list[float], list[int]]:
        """What orders a distribution and its mirror image, and tells when they are one."""
        return self.values.tolist(), self.counts.tolist()

    def variance(self) -> float:
        """Variance of the weighted mean of a resample, which divides by n and not n − 1."""
        centre = self.values @ self.counts / self.size
        return float(self.weight**2 * ((self.values - centre) ** 2 @ self.counts))


def estimate(strata: Sequence[Changes], resamples: int, seed: int) -> tuple[float, float, float]:
    """Weighted mean change, and its percentile-bootstrap interval, resampled within strata.

    A resample of n items is a multinomial draw over the distinct changes, so nothing of size
    ``(resamples, n)`` is made. The percentiles are moved outwards to make up for the bootstrap's
    narrowness in small samples. Mirrored changes give exactly the mirrored answer.

    Source: "expanded percentile" interval, Hesterberg 2015 (The American Statistician 69:371).
    """
    keys, mirrored = [s.key() for s in strata], [s.mirrored().key() for s in strata]
    if mirrored > keys:
        middle, low, high = estimate([s.mirrored() for s in strata], resamples, seed)
        return 0.0 - middle, 0.0 - high, 0.0 - low
    low, high = np.quantile(_draw(strata, resamples, seed), _levels(strata))
    if mirrored == keys:
        # The distribution is its own mirror image; so is the interval then, not only nearly.
        half = float(high - low) / 2
        return 0.0, 0.0 - half, half
    middle = sum(s.weight * float(s.values @ s.counts) for s in strata)
    return middle, float(low), float(high)


def _draw(strata: Sequence[Changes], resamples: int, seed: int) -> Floats:
    random = np.random.default_rng(seed)
    drawn = np.zeros(resamples)
    for stratum in strata:
        step = max(1, _BLOCK // stratum.values.size)
        for start in range(0, resamples, step):
            counts = random.multinomial(
                stratum.size, stratum.counts / stratum.size, size=min(step, resamples - start)
            )
            drawn[start : start + step] += stratum.weight * (counts @ stratum.values)
    return drawn


def _levels(strata: Sequence[Changes]) -> tuple[float, float]:
    freedom = sum(s.size - 1 for s in strata)
    resampled = sum(s.variance() for s in strata)
    unbiased = sum(s.variance() * s.size / max(s.size - 1, 1) for s in strata)
    wider = np.sqrt(unbiased / resampled) if resampled else 1.0
    tail = float(special.ndtr(wider * special.stdtrit(freedom, (1 - CONFIDENCE) / 2)))
    return tail, 1 - tail


def mcnemar_p(rose: Any, fell: Any) -> Any:
    """Exact two-sided McNemar p: ``2 P(X <= min(rose, fell))``, X binomial(rose + fell, 1/2).

    Shapes: counts of any one shape; the result has it too.
    """
    return np.minimum(1.0, 2 * special.bdtr(np.minimum(rose, fell), np.add(rose, fell), 0.5))


def sign_flip_p(change: Floats, resamples: int, seed: int) -> tuple[float, bool]:
    """Two-sided p of the sum of changes when each could as well have had the other sign.

    Flipping signs at random is a binomial draw per distinct size of change. Where all changes
    have one size, as with 0/1 outcomes, the p-value is exact and is McNemar's; the second
    result says whether that is so.

    Shapes: ``(n,)``, already weighted.
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
