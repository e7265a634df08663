"""Intervals and tests by counts of changes, against scipy, statsmodels and Fisher."""

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.contingency_tables import mcnemar

from rvec_merge.stats import resampling
from rvec_merge.stats.resampling import mcnemar_p
from rvec_merge.stats.significance import paired
from tests.stats.samples import MAIZE, MAIZE_P, changed, outcomes


def test_exact_mcnemar_is_statsmodels() -> None:
    for rose in range(0, 40, 3):
        for fell in range(0, 40, 7):
            table = [[11, fell], [rose, 13]]
            expected = mcnemar(table, exact=True).pvalue
            assert mcnemar_p(rose, fell) == pytest.approx(expected, rel=1e-10)


def test_sign_flips_give_fishers_answer_for_darwins_maize() -> None:
    found = paired(outcomes([0] * 15), outcomes(MAIZE), resamples=200_000)
    assert found.test == "sampled sign flips"
    # Three standard errors of a share from 200,000 draws.
    assert found.p == pytest.approx(MAIZE_P, abs=0.0015)
    assert found.difference == pytest.approx(314 / 15)
    exact = stats.permutation_test(
        (np.array(MAIZE, dtype=float),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert exact.pvalue == pytest.approx(MAIZE_P)


def test_sign_flips_of_equal_size_are_mcnemar_whatever_the_unit() -> None:
    before, after = changed(14, 4, 20)
    scaled = paired(outcomes(7 * before.values), outcomes(7 * after.values))
    assert scaled.p == paired(before, after).p
    assert scaled.test == "exact sign flips"


@pytest.mark.parametrize("kind", ["counts", "continuous"])
def test_interval_is_scipys_bootstrap_at_the_expanded_level(kind: str) -> None:
    random = np.random.default_rng(1)
    before = random.normal(5, 2, size=60)
    after = before + random.normal(0.4, 1, size=60)
    if kind == "counts":
        before, after = before.round(), after.round()
    found = paired(outcomes(before), outcomes(after), resamples=200_000)
    tail = stats.norm.cdf(np.sqrt(60 / 59) * stats.t.ppf(0.025, 59))
    expected = stats.bootstrap(
        (after - before,), np.mean, n_resamples=200_000, batch=10_000, method="percentile",
        confidence_level=1 - 2 * tail, rng=np.random.default_rng(2),
    )  # fmt: skip
    width = found.high - found.low
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.02 * width)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.02 * width)
    # Wider than the plain percentile interval, by what a t interval is wider than a normal one.
    assert special.ndtr(-1.96) > tail


def test_blocks_do_not_change_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    pair = outcomes(random.normal(size=50)), outcomes(random.normal(size=50))
    whole = paired(*pair)
    monkeypatch.setattr(resampling, "_BLOCK", 700)
    assert paired(*pair) == whole
