"""The ways of counting truncated outputs, and what stands in all of them."""

import numpy as np

from rvec_merge.results.wording import sentence
from rvec_merge.stats.question import Question, Way
from rvec_merge.stats.significance import Outcomes
from rvec_merge.stats.verdict import Finding, judge
from tests.stats.samples import TARGET, N, right


def cut(outcomes: Outcomes, start: int, stop: int) -> Outcomes:
    """The outcomes, their outputs cut off at the budget on a range of items, so without answer."""
    cut_off = (outcomes.items >= start) & (outcomes.items < stop)
    values = np.where(cut_off, 0, outcomes.values)
    return Outcomes(outcomes.items, values, outcomes.strata, cut_off)


def test_a_gain_that_the_token_budget_makes_is_undecided_until_it_is_raised() -> None:
    # Both answer the same 240 items, were they let: the target writes longer, and is cut off.
    able = right((0, 240))
    short = Question("gsm8k", "+vector", cut(able, 200, 300), able, budget=300)
    (verdict,) = judge([short])
    assert verdict.finding is Finding.UNDECIDED
    assert verdict.ways == {
        Way.SCORED: Finding.UNCONTROLLED, Way.AGAINST: Finding.HURTS, Way.WITHOUT: Finding.NOTHING,
    }  # fmt: skip
    assert verdict.truncated == (0.25, 0)
    assert "max_gen_toks: 600 (it was 300)" in sentence(verdict)
    (verdict,) = judge([Question("gsm8k", "+vector", able, able, budget=768)])
    assert (verdict.finding, verdict.ways) == (Finding.NOTHING, None)


def test_a_gain_that_truncation_cannot_explain_stands() -> None:
    more = right((0, 300))
    (verdict,) = judge([Question("gsm8k", "+vector", cut(TARGET, 390, 400), cut(more, 0, 5))])
    assert verdict.finding is Finding.UNCONTROLLED
    assert set(verdict.ways.values()) == {Finding.UNCONTROLLED}


def test_where_every_output_is_cut_off_nothing_is_decided() -> None:
    (verdict,) = judge([Question("gsm8k", "+vector", cut(TARGET, 0, N), right((0, 300)))])
    assert verdict.finding is Finding.UNDECIDED
    assert verdict.ways[Way.WITHOUT] is Finding.NOTHING
