"""The rule, case by case, and how often it errs in synthetic experiments."""

from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from rvec_merge.errors import PlanError, ResultsError
from rvec_merge.results.wording import sentence
from rvec_merge.stats.controls import ControlDraw
from rvec_merge.stats.power import detectable_effect
from rvec_merge.stats.question import Question
from rvec_merge.stats.resampling import mcnemar_p
from rvec_merge.stats.significance import Outcomes
from rvec_merge.stats.verdict import RULE, Finding, judge
from tests.stats.samples import GAIN, LITTLE, LOSS, SAME_GAIN, TARGET, ask, right
from tools import simulate_verdict as tables
from tools.simulate import World, coverage, verdict_rates

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs" / "statistics.md"


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


def test_no_share_of_an_effect_that_was_not_found() -> None:
    (verdict,) = judge([ask(LITTLE, GAIN)])
    assert verdict.control_share == {}


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
