"""The smallest effect that could have been found, and what more outputs or items would show."""

import numpy as np
import pytest
from scipy import stats

from rvec_merge.results.wording import sentence
from rvec_merge.stats.power import detectable_effect, mcnemar_power, sampling
from rvec_merge.stats.question import Question
from rvec_merge.stats.resampling import mcnemar_p
from rvec_merge.stats.significance import Outcomes, paired
from rvec_merge.stats.verdict import judge
from tests.stats.samples import MAIZE, changed, outcomes


def drawn(chances: np.ndarray, k: int, seed: int) -> Outcomes:
    values = np.random.default_rng(seed).binomial(k, chances) / k
    return Outcomes(np.arange(chances.size), values, samples=k)


def test_the_parts_are_those_that_the_draws_were_made_with() -> None:
    chances = np.random.default_rng(0).beta(2, 2, size=100_000)
    gained = np.clip(chances + 0.1, 0, 1)
    found = sampling(drawn(chances, 4, 1), drawn(gained, 4, 2))
    assert found is not None
    within = sum(np.mean(p * (1 - p)) / 4 for p in (chances, gained))
    assert found.within == pytest.approx(within, rel=0.01)
    assert found.total == pytest.approx(within + np.var(gained - chances), rel=0.01)
    assert found.share == pytest.approx(within / (within + np.var(gained - chances)), rel=0.01)


def test_more_samples_help_up_to_the_items_own_spread_and_more_items_without_end() -> None:
    found = sampling(drawn(np.full(400, 0.5), 4, 1), drawn(np.full(400, 0.5), 4, 2))
    assert found is not None
    here = found.detectable(samples=4, items=400)
    assert found.detectable(samples=4, items=1600) == pytest.approx(here / 2)
    assert found.detectable(samples=16, items=400) == pytest.approx(here / 2, rel=0.15)


def test_one_output_has_no_parts() -> None:
    one = Outcomes(np.arange(4), np.array([0.0, 1, 1, 0]))
    assert sampling(one, one) is None


def test_shares_are_told_in_points_and_tested_by_sign_flips() -> None:
    low, high = drawn(np.full(200, 0.3), 4, 1), drawn(np.full(200, 0.6), 4, 2)
    compared = paired(low, high)
    assert compared.binary
    assert compared.test == "sampled sign flips"
    (verdict,) = judge([Question("aime", "+vector", low, high)])
    assert "points on 200 items" in sentence(verdict)
    assert "outputs were drawn: 16 samples would show an effect of" in sentence(verdict)


@pytest.mark.parametrize(("n", "discordance", "effect"), [(164, 0.15, 0.06), (500, 0.08, 0.04)])
def test_power_is_what_a_simulation_finds(n: int, discordance: float, effect: float) -> None:
    random = np.random.default_rng(5)
    rise = (discordance + effect) / 2
    drawn = random.multinomial(n, [rise, discordance - rise, 1 - discordance], size=40_000)
    found = (mcnemar_p(drawn[:, 0], drawn[:, 1]) < 0.05) & (drawn[:, 0] > drawn[:, 1])
    assert mcnemar_power(n, discordance, effect) == pytest.approx(found.mean(), abs=0.01)


def test_detectable_effect_has_the_power_it_promises() -> None:
    found = paired(*changed(60, 40, 900))
    effect = detectable_effect(found, alpha=0.01)
    assert mcnemar_power(1000, 0.1, effect, 0.01) == pytest.approx(0.8, abs=1e-3)
    assert detectable_effect(found, alpha=0.05) < effect
    # Fewer changes than the effect: all in one direction. Six of them are needed at 0.05.
    quiet = detectable_effect(paired(*changed(0, 0, 100)))
    assert stats.binom.sf(5, 100, quiet) == pytest.approx(0.8, abs=1e-3)
    assert detectable_effect(paired(*changed(2, 0, 3))) is None


def test_detectable_effect_of_other_metrics() -> None:
    found = paired(outcomes([0] * 15), outcomes(MAIZE))
    expected = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * found.standard_error
    assert detectable_effect(found) == pytest.approx(expected)
    assert detectable_effect(paired(outcomes([1.5, 2]), outcomes([1.5, 2]))) is None
