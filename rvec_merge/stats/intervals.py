"""Score intervals of proportions: they hold their level near 0 and 100 %, where others shrink."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import hypot, sqrt

from scipy import optimize, special

CONFIDENCE = 0.95
Z = float(special.ndtri((1 + CONFIDENCE) / 2))


def wilson(share: float, n: int) -> tuple[float, float]:
    """Interval of one proportion, of which ``share`` of ``n`` items was seen.

    Source: Wilson 1927, Journal of the American Statistical Association 22:209.
    """
    centre = share + Z**2 / (2 * n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low, high = ((centre - half) / (1 + Z**2 / n), (centre + half) / (1 + Z**2 / n))
    return max(0.0, low), min(1.0, high)


def tango(rose: int, fell: int, n: int) -> tuple[float, float]:
    """Interval of the paired difference ``(rose − fell) / n`` of two proportions.

    The differences that a score test at this level does not reject. Swapping ``rose`` and ``fell``
    mirrors it exactly; without any change it is ``±z² / (n + z²)``.

    Source: Tango 1998, Statistics in Medicine 17:891.
    """
    return 0.0 - _upper(fell, rose, n), _upper(rose, fell, n)


@lru_cache(maxsize=1 << 14)
def _upper(rose: int, fell: int, n: int) -> float:
    observed = rose - fell

    def beyond(difference: float) -> float:
        # The share of falls that is likeliest if this were the true difference.
        a, c = 2 * n, -fell * difference * (1 - difference)
        b = -rose - fell + (2 * n - observed) * difference
        falls = (sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * falls + difference * (1 - difference))
        return n * difference - observed - Z * sqrt(max(variance, 0.0))

    if observed == n:
        return 1.0
    # Where no item moved, or all did, the observed difference is a root too, without any spread.
    return float(optimize.brentq(beyond, observed / n + 1e-9, 1.0, xtol=1e-12))


def combined(parts: Iterable[tuple[float, int, int, int]]) -> tuple[float, float]:
    """Interval of a weighted sum of independent paired differences: ``(weight, rose, fell, n)``.

    Each part's own limits say how far it may be off; their distances add as errors do. Of one part
    with weight 1 it is that part's interval.

    Source: Zou and Donner 2008, Statistics in Medicine 27:1693.
    """
    middle, below, above = 0.0, 0.0, 0.0
    for weight, rose, fell, n in parts:
        difference = (rose - fell) / n
        low, high = tango(rose, fell, n)
        middle += weight * difference
        below = hypot(below, weight * (difference - low))
        above = hypot(above, weight * (high - difference))
    return max(-1.0, middle - below), min(1.0, middle + above)
