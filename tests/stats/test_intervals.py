"""Score intervals: known answers, the definition they invert, and coverage at the edges."""

import numpy as np
import pytest
from scipy import optimize
from statsmodels.stats.proportion import proportion_confint

from rvec_merge.stats.intervals import Z, combined, tango, wilson


@pytest.mark.parametrize(("share", "n"), [(0, 30), (1 / 30, 30), (0.5, 200), (1, 164)])
def test_wilson_is_statsmodels(share: float, n: int) -> None:
    expected = proportion_confint(round(share * n), n, method="wilson")
    assert wilson(share, n) == pytest.approx(expected, abs=1e-12)


def score(rose: int, fell: int, n: int, difference: float) -> float:
    """The score statistic, its nuisance found by maximising the likelihood instead of a formula."""

    def minus_log_likelihood(falls: float) -> float:
        shares = falls + difference, falls, 1 - 2 * falls - difference
        return -sum(
            c * np.log(max(p, 1e-300))
            for c, p in zip((rose, fell, n - rose - fell), shares, strict=True)
        )

    low, high = max(0.0, -difference), (1 - difference) / 2
    falls = optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    return (rose - fell - n * difference) / np.sqrt(n * (2 * falls + difference * (1 - difference)))


@pytest.mark.parametrize(
    ("rose", "fell", "n"), [(9, 1, 50), (3, 2, 30), (40, 60, 1000), (12, 5, 44)]
)
def test_tango_inverts_the_score_test(rose: int, fell: int, n: int) -> None:
    low, high = tango(rose, fell, n)
    assert score(rose, fell, n, low) == pytest.approx(Z, rel=1e-4)
    assert score(rose, fell, n, high) == pytest.approx(-Z, rel=1e-4)


@pytest.mark.parametrize("n", [2, 30, 1319])
def test_tango_at_the_edges(n: int) -> None:
    width = Z**2 / (n + Z**2)
    assert tango(0, 0, n) == pytest.approx((-width, width), rel=1e-6)
    low, high = tango(n, 0, n)
    assert high == 1
    assert low > 0 or n == 2
    assert tango(0, n, n) == (-high, -low)


def test_parts_add_as_errors_do() -> None:
    assert combined([(1.0, 9, 1, 50)]) == pytest.approx(tango(9, 1, 50))
    low, high = combined([(0.5, 90, 60, 1000)] * 2)
    one = tango(90, 60, 1000)
    assert (high - low) == pytest.approx((one[1] - one[0]) / np.sqrt(2))
