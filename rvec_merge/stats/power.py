"""The smallest effect that a comparison of this size could have found; what sampling adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from scipy import optimize, stats

from rvec_merge.stats.resampling import Floats
from rvec_merge.stats.significance import ALPHA, Comparison, Outcomes

POWER = 0.8


def mcnemar_power(n: int, discordance: float, effect: float, alpha: float = ALPHA) -> float:
    """Chance that exact McNemar finds a true ``effect`` on ``n`` items, in its own direction.

    Exact: sums over the number of discordant items, binomial(n, discordance).

    Units: ``discordance``, the share of items on which the conditions differ, and ``effect``,
        the difference of accuracy, are shares of the items; ``|effect| <= discordance``.
    """
    discordant = np.arange(n + 1)
    minority = (discordance - abs(effect)) / (2 * discordance)
    found = stats.binom.cdf(_critical(n, alpha), discordant, minority)
    return float(stats.binom.pmf(discordant, n, discordance) @ found)


def detectable_effect(
    comparison: Comparison, *, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """The smallest true effect found with probability ``power`` on these items, at this alpha.

    For 0/1 outcomes of equal weight it is exact, for the share of discordant items that was
    observed; an effect larger than that share is taken as changes in one direction only. For
    other outcomes it is ``(z(1 − alpha / 2) + z(power)) · standard error``.

    Units: the metric's own; a share of the items for 0/1 outcomes. None where no effect at all
        could have been found.
    """
    if comparison.test == "exact McNemar":
        return detectable_share(comparison.n, comparison.rose + comparison.fell, alpha, power)
    if comparison.standard_error == 0:
        return None
    quantiles = stats.norm.isf(alpha / 2) + stats.norm.ppf(power)
    return float(quantiles * comparison.standard_error)


@lru_cache(maxsize=64)
def _critical(n: int, alpha: float) -> Floats:
    """For 0 to n discordant items, the largest minority that is significant; -1 where none is."""
    discordant = np.arange(n + 1)
    largest = stats.binom.ppf(alpha / 2, discordant, 0.5)
    largest -= stats.binom.cdf(largest, discordant, 0.5) > alpha / 2
    return np.asarray(largest, dtype=np.float64)


@lru_cache(maxsize=4096)
def detectable_share(
    n: int, discordant: int, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """``detectable_effect`` of 0/1 outcomes, of ``n`` items of which so many are discordant."""

    def lacking(effect: float) -> float:
        return mcnemar_power(n, max(discordant / n, effect), effect, alpha) - power

    if lacking(1.0) < 0:
        return None
    return float(optimize.brentq(lacking, 1e-9, 1.0, xtol=1e-5))


@dataclass(frozen=True)
class Sampling:
    """The variance of a paired difference of shares, in its two parts.

    Attributes:
        samples: outputs per item.
        items: how many.
        within: variance of an item's difference that is due to which outputs were drawn.
        total: variance of the items' differences.
    """

    samples: int
    items: int
    within: float
    total: float

    @property
    def share(self) -> float:
        """The part of the variance that infinitely many samples would remove, 0 to 1."""
        return min(1.0, self.within / self.total) if self.total else 0.0

    def detectable(self, *, samples: int, items: int, alpha: float = ALPHA) -> float | None:
        """The effect that so many samples of so many items find four times in five."""
        if not self.total:
            return None
        drawn = min(self.within, self.total)
        variance = self.total - drawn + drawn * self.samples / samples
        return float((stats.norm.isf(alpha / 2) + stats.norm.ppf(POWER)) * sqrt(variance / items))


def sampling(baseline: Outcomes, condition: Outcomes) -> Sampling | None:
    """The parts of the variance; None where an item has one output.

    Each output of an item is right with that item's chance, so that the share ``p`` of ``k`` has
    the variance that ``p (1 − p) / (k − 1)`` estimates without bias.
    """
    k = condition.samples
    if k == 1 or baseline.samples != k:
        return None
    within = sum(
        float(np.mean(one.values * (1 - one.values))) / (k - 1) for one in (baseline, condition)
    )
    change = condition.values - baseline.values
    return Sampling(k, change.size, within, float(np.var(change, ddof=1)))
