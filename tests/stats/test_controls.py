"""Tests against controls: draws are a sample, another vector is a rival."""

import numpy as np
import pytest
from scipy import stats

from rvec_merge.results.wording import sentence
from rvec_merge.stats.controls import ControlDraw, OtherVector
from rvec_merge.stats.question import Question
from rvec_merge.stats.resampling import mcnemar_p
from rvec_merge.stats.significance import Outcomes, mean
from rvec_merge.stats.verdict import Finding, judge
from tests.stats.samples import GAIN, LITTLE, LOSS, SAME_GAIN, TARGET, N, ask, right


def test_share_is_the_mean_over_a_kinds_draws() -> None:
    controls = (
        ControlDraw("random", 0, LITTLE),
        ControlDraw("random", 1, TARGET),
        ControlDraw("permuted", 0, LOSS),
    )
    (verdict,) = judge([Question("gsm8k", "+vector", TARGET, GAIN, controls)])
    assert verdict.control_share == pytest.approx({"random": 1 / 40, "permuted": -1})
    assert {test.kind: test.effects for test in verdict.controls} == {
        "random": pytest.approx((2 / N, 0)), "permuted": pytest.approx((-40 / N,)),
    }  # fmt: skip
    assert ", permuted −100 %" in sentence(verdict)


def test_draws_are_a_sample_and_the_condition_a_single_case() -> None:
    rights = [150, 190, 200, 230]
    (verdict,) = judge([ask(right((0, 330)), *(right((0, r)) for r in rights))])
    (test,) = verdict.controls
    # Crawford and Howell's modified t, by hand.
    t = (330 - np.mean(rights)) / (np.std(rights, ddof=1) * np.sqrt(1 + 1 / 4))
    assert test.p == pytest.approx(2 * stats.t.sf(t, 3))
    assert (test.freedom, test.margin) == (3, pytest.approx((330 - np.mean(rights)) / N))
    assert verdict.p_beyond_controls == test.p


def test_draws_that_agree_by_chance_are_not_believed() -> None:
    (verdict,) = judge([ask(right((0, 206)), TARGET, TARGET, TARGET)])
    (test,) = verdict.controls
    change = Outcomes(np.arange(N), right((0, 206)).values - TARGET.values)
    assert test.spread == 0
    assert test.standard_error == mean(change).standard_error
    assert test.p == pytest.approx(2 * stats.t.sf(6 / N / test.standard_error, 2))


def test_a_kind_of_two_draws_borrows_the_spread_of_all() -> None:
    drawn = [("random", r) for r in (150, 190, 230)] + [("permuted", r) for r in (180, 220)]
    controls = tuple(ControlDraw(kind, r, right((0, r))) for kind, r in drawn)
    (verdict,) = judge([Question("gsm8k", "+vector", TARGET, right((0, 330)), controls)])
    random, permuted = verdict.controls
    assert (random.spread, random.freedom) == (pytest.approx(40 / N), 2)
    # Squares about the two means: 3200 of random draws, 800 of permuted ones.
    assert (permuted.spread, permuted.freedom) == (pytest.approx(np.sqrt(4000 / 3) / N), 3)
    assert verdict.p_beyond_controls == pytest.approx(max(random.p, permuted.p))


def test_another_vector_is_a_rival_by_name() -> None:
    draws = ask(GAIN, TARGET, LITTLE, TARGET).controls
    for outcomes, finding in ((LITTLE, Finding.HELPS), (SAME_GAIN, Finding.NOT_ABOVE)):
        others = (OtherVector("seed 2", outcomes),)
        (verdict,) = judge([Question("gsm8k", "+vector", TARGET, GAIN, draws, others)])
        assert verdict.finding is finding
        assert "seed 2 (" in sentence(verdict)
        assert verdict.others[0].margin.p == pytest.approx(
            mcnemar_p(verdict.others[0].margin.rose, verdict.others[0].margin.fell)
        )
