"""Several outputs per item: how much of what is uncertain comes from the sampling."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from rvec_merge.stats.power import POWER
from rvec_merge.stats.significance import ALPHA, Outcomes


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
