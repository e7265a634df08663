"""The rule, case by case, and how often it errs in synthetic experiments."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from rvec_merge.errors import PlanError, ResultsError
from rvec_merge.results.wording import sentence
from rvec_merge.stats.controls import ControlDraw, OtherVector
from rvec_merge.stats.power import detectable_effect
from rvec_merge.stats.question import Question, Way
from rvec_merge.stats.resampling import mcnemar_p
from rvec_merge.stats.significance import Outcomes, mean
from rvec_merge.stats.verdict import RULE, Finding, judge
from tools import simulate_verdict as tables
from tools.simulate import World, coverage, verdict_rates

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs" / "statistics.md"

N = 400


def right(*ranges: tuple[int, int], n: int = N) -> Outcomes:
    """Outcomes that are right on these half-open ranges of items."""
    values = np.zeros(n)
    for start, stop in ranges:
        values[start:stop] = 1
    return Outcomes(np.arange(n), values)


TARGET = right((0, 200))
GAIN = right((0, 240))
SAME_GAIN = right((0, 200), (300, 340))
LITTLE = right((0, 195), (200, 207))
LOSS = right((40, 200))


def ask(condition: Outcomes, *controls: Outcomes, task: str = "gsm8k") -> Question:
    drawn = tuple(ControlDraw("random", seed, one) for seed, one in enumerate(controls))
    return Question(task, "+vector", TARGET, condition, drawn)


@pytest.mark.parametrize(
    ("question", "finding", "words"),
    [
        (
            ask(GAIN, LITTLE, TARGET, LITTLE),
            Finding.HELPS,
            "Above 3 random draws as a sample (+9.7",
        ),
        (ask(GAIN, LITTLE, SAME_GAIN, TARGET), Finding.NOT_ABOVE, "Not shown to be above 3 random"),
        (ask(GAIN, SAME_GAIN), Finding.UNCONTROLLED, "random 100 %"),
        (ask(GAIN, LITTLE, TARGET), Finding.UNCONTROLLED, "Fewer than 3 draws of a control"),
        (ask(GAIN), Finding.UNCONTROLLED, "any other update of this size might do the same"),
        (ask(LITTLE, GAIN), Finding.NOTHING, "points would have been found four times in five"),
        (ask(TARGET, TARGET), Finding.NOTHING, "+0.0 points on 400 items"),
        (ask(LOSS, TARGET), Finding.HURTS, "random 0 %"),
        (ask(LOSS), Finding.HURTS, "No control was run"),
    ],
)
def test_each_finding(question: Question, finding: Finding, words: str) -> None:
    (verdict,) = judge([question])
    assert verdict.finding is finding
    assert sentence(verdict).startswith("+vector, gsm8k: ")
    assert words in sentence(verdict)


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


def test_no_share_of_an_effect_that_was_not_found() -> None:
    (verdict,) = judge([ask(LITTLE, GAIN)])
    assert verdict.control_share == {}


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


def test_p_is_holm_over_the_family_both_times() -> None:
    conditions = [right((0, 200 + k)) for k in (7, 9, 60)]
    verdicts = judge([ask(c, *[TARGET] * 3, task=str(i)) for i, c in enumerate(conditions)])
    alone = [mcnemar_p(k, 0) for k in (7, 9, 60)]
    assert [v.p_adjusted for v in verdicts] == pytest.approx(multipletests(alone, method="holm")[1])
    beyond = multipletests([v.controls[0].p for v in verdicts], method="holm")[1]
    assert [v.p_beyond_controls for v in verdicts] == pytest.approx(beyond)
    assert [v.finding for v in verdicts] == [
        Finding.NOT_ABOVE, Finding.NOT_ABOVE, Finding.HELPS,
    ]  # fmt: skip
    assert {v.family for v in verdicts} == {3}
    assert verdicts[0].detectable == detectable_effect(verdicts[0].comparison, alpha=0.05 / 3)


def test_a_larger_family_can_take_an_effect_away() -> None:
    barely = ask(right((0, 206)), TARGET)
    assert judge([barely])[0].finding is Finding.UNCONTROLLED
    others = [ask(TARGET, TARGET, task=str(i)) for i in range(2)]
    assert judge([barely, *others])[0].finding is Finding.NOTHING


def test_questions_without_enough_draws_take_no_part_in_the_second_adjustment() -> None:
    verdicts = judge([ask(right((0, 208)), *[TARGET] * 3), ask(GAIN, TARGET, task="sciq")])
    assert verdicts[0].p_beyond_controls == verdicts[0].controls[0].p
    assert verdicts[1].p_beyond_controls is None


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


def test_too_few_items_say_so() -> None:
    few = right((0, 2), n=5)
    (verdict,) = judge([Question("aime", "+vector", few, few, (ControlDraw("random", 0, few),))])
    assert verdict.detectable is None
    assert sentence(verdict).endswith("So few items cannot show an effect of any size.")


def test_a_metric_in_its_own_units() -> None:
    random = np.random.default_rng(0)
    short, more = (
        Outcomes(np.arange(50), random.normal(level, 9, size=50).round()) for level in (80, 140)
    )
    (verdict,) = judge(
        [
            Question(
                "tokens", "+v", short, more, tuple(ControlDraw("random", i, short) for i in "123")
            )
        ]
    )
    assert verdict.finding is Finding.HELPS
    assert "points" not in sentence(verdict)


@pytest.mark.parametrize(
    ("questions", "error", "message"),
    [
        ([ask(GAIN), ask(LITTLE)], PlanError, "A question is there twice."),
        (
            [Question("t", "+v", TARGET, GAIN, (ControlDraw("random", 1, LITTLE),) * 2)],
            PlanError,
            "A control is there twice.",
        ),
        ([ask(right((0, 9), n=20))], ResultsError, "not measured on the same items"),
    ],
)
def test_what_cannot_be_judged(questions, error, message: str) -> None:
    with pytest.raises(error, match=message):
        judge(questions)


def test_the_docs_hold_the_rule() -> None:
    assert RULE in DOCS.read_text(encoding="utf-8")


def test_the_docs_hold_the_power_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    start, end = tables.between_marks(text, "power")
    assert text[start:end].rstrip() == tables.power_table(), tables.__doc__


@pytest.mark.slow
def test_false_positive_rate_when_nothing_moves() -> None:
    rates = verdict_rates(tables.ERRORS["nothing moves"], tables.EXPERIMENTS)
    row = " | ".join(tables.errors_row("nothing moves", rates))
    assert row in DOCS.read_text(encoding="utf-8"), tables.__doc__
    assert rates.any_helps <= 0.06
    # Any claim at all, true of any of the three tasks: Holm keeps that in bounds too.
    assert 1 - rates.verdicts[Finding.NOTHING] <= 0.06


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(gain=0.05, control_gain=0.05), id="controls gain as much"),
        pytest.param(World(gain=None, draw_spread=0.01), id="the vector is one more draw"),
        pytest.param(World(gain=None, draw_spread=0.02), id="draws that differ more"),
    ],
)
def test_false_positive_rate_when_controls_move_accuracy(world: World) -> None:
    assert verdict_rates(world, experiments=250, seed=2).any_helps <= 0.06


@pytest.mark.parametrize(("draws", "spread"), [(3, 0.06), (6, 0.03), (12, 0.06)])
def test_one_more_draw_is_rarely_called_helpful(draws: int, spread: float) -> None:
    assert verdict_rates(tables.drawn(draws, 0, spread, None), 400, seed=4).any_helps <= 0.05


def test_a_gain_of_five_points_is_seen_with_six_draws() -> None:
    assert verdict_rates(tables.drawn(6, 0, 0.01, 0.05), 200, seed=5).any_helps >= 0.8


def test_a_specific_gain_is_seen() -> None:
    rates = verdict_rates(World(items=(1319,), gain=0.08, draw_spread=0.01), 60, seed=3)
    assert rates.any_helps >= 0.9


@pytest.mark.parametrize("items", [100, 500])
@pytest.mark.parametrize("gain", [0.0, 0.06])
def test_coverage_of_the_interval(items: int, gain: float) -> None:
    # Two standard errors of a share from 1,000 experiments, and the steps of 0/1 outcomes.
    assert coverage(World(gain=gain, flips=0.2), items, 1000) == pytest.approx(0.95, abs=0.02)


def test_the_synthetic_world_is_the_one_described() -> None:
    from tools.simulate import outcomes

    world = World(accuracy=0.5, flips=0.1)
    drawn = outcomes(world, 200_000, np.array([0.0, 0.0, 0.08]), np.random.default_rng(4))
    first, second, third = (one.values for one in drawn)
    assert first.mean() == pytest.approx(0.5, abs=0.005)
    assert third.mean() == pytest.approx(0.58, abs=0.005)
    assert (first != second).mean() == pytest.approx(0.1, abs=0.005)
