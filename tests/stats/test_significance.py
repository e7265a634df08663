"""Known answers, agreement with scipy and statsmodels, and identities of the comparison."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from rvec_merge.errors import ResultsError
from rvec_merge.stats.resampling import mcnemar_p
from rvec_merge.stats.significance import Outcomes, holm, mean, paired, pool
from tests.stats.samples import changed, outcomes


@pytest.mark.parametrize(
    ("rose", "fell", "p"),
    [
        (8, 1, 2 * (1 + 9) / 2**9),  # R: binom.test(1, 9)$p.value
        (15, 5, 2 * 21_700 / 2**20),  # R: binom.test(5, 20)$p.value
        (4, 4, 1.0),
        (0, 0, 1.0),
    ],
)
def test_exact_mcnemar_by_hand(rose: int, fell: int, p: float) -> None:
    found = paired(*changed(rose, fell, 30))
    assert found.p == pytest.approx(p, rel=1e-12)
    assert (found.rose, found.fell, found.test) == (rose, fell, "exact McNemar")


def test_holm_is_statsmodels() -> None:
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")
    assert list(holm(dict(enumerate([0.01, 0.02, 0.03, 0.04, 0.05]))).values()) == pytest.approx(
        [0.05, 0.08, 0.09, 0.09, 0.09]
    )
    random = np.random.default_rng(0)
    for size in (1, 2, 9, 40):
        p = random.random(size) ** 3
        expected = multipletests(p, method="holm")[1]
        assert list(holm(dict(enumerate(p))).values()) == pytest.approx(expected)
    assert holm({}) == {}


def test_means_and_standard_errors() -> None:
    before, after = outcomes([0, 1, 1, 0, 1, 0]), outcomes([1, 1, 1, 0, 1, 1])
    found = paired(before, after)
    assert found.baseline == mean(before)
    assert found.condition.mean == pytest.approx(5 / 6)
    # lm-eval's mean_stderr: sample standard deviation over sqrt(n).
    assert found.baseline.standard_error == pytest.approx(np.std(before.values, ddof=1) / 6**0.5)
    change = after.values - before.values
    assert found.standard_error == pytest.approx(np.std(change, ddof=1) / 6**0.5)


def test_strata_pooled_and_by_task() -> None:
    small = changed(6, 0, 4)
    large = changed(4, 12, 84)
    before, after = (pool({"small": small[i], "large": large[i]}) for i in (0, 1))
    items, tasks = paired(before, after), paired(before, after, weighting="strata")
    assert items.difference == pytest.approx((6 - 8) / 110)
    assert tasks.difference == pytest.approx((0.6 - 0.08) / 2)
    # The pooled test sees 10 rises and 12 falls; the mean of tasks weighs the small one more.
    assert items.p == pytest.approx(mcnemar_p(10, 12))
    assert items.low < items.difference < 0 < items.high
    assert 0 < tasks.low < tasks.difference < tasks.high
    parts = [paired(*pair).standard_error for pair in (small, large)]
    assert tasks.standard_error == pytest.approx(np.hypot(*parts) / 2)
    assert items.standard_error == pytest.approx(np.hypot(10 * parts[0], 100 * parts[1]) / 110)
    # Resampling within tasks: the interval is as wide as its own standard error says.
    assert tasks.high - tasks.low == pytest.approx(2 * 1.98 * tasks.standard_error, rel=0.05)


values = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])),
        st.tuples(st.integers(-3, 9).map(float), st.floats(-5, 5)),
    ),
    min_size=2,
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(values)
def test_swapping_negates(pairs: list[tuple[float, float]]) -> None:
    a, b = (outcomes(side) for side in zip(*pairs, strict=True))
    there, back = paired(a, b, resamples=200), paired(b, a, resamples=200)
    assert there.difference == -back.difference
    assert (there.low, there.high) == (-back.high, -back.low)
    assert (there.rose, there.fell) == (back.fell, back.rose)
    assert (there.baseline, there.condition) == (back.condition, back.baseline)
    assert there.p == back.p
    assert there.standard_error == back.standard_error


@settings(deadline=None, max_examples=30)
@given(values)
def test_identical_conditions_show_nothing(pairs: list[tuple[float, float]]) -> None:
    a = outcomes([before for before, _ in pairs])
    found = paired(a, a, resamples=200)
    assert (found.difference, found.p) == (0, 1)
    # What was never seen to differ may yet: 0/1 outcomes have a width.
    assert found.low == -found.high
    assert (found.high > 0) == found.binary


@settings(deadline=None, max_examples=30)
@given(values, st.randoms(use_true_random=False))
def test_the_order_of_items_does_not_matter(pairs: list[tuple[float, float]], random) -> None:
    order = list(range(len(pairs)))
    random.shuffle(order)
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    shuffled = paired(Outcomes(order, a[order]), Outcomes(order, b[order]), resamples=200)
    assert shuffled == paired(outcomes(a), outcomes(b), resamples=200)


def test_seed_is_all_that_is_random() -> None:
    random = np.random.default_rng(6)
    pair = outcomes(random.normal(size=50)), outcomes(random.normal(size=50))
    assert paired(*pair, seed=4) == paired(*pair, seed=4)
    assert paired(*pair, seed=4).low != paired(*pair, seed=5).low or (
        paired(*pair, seed=4).high != paired(*pair, seed=5).high
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Outcomes([1, 1], [0.0, 1.0]), "An item occurs more than once."),
        (lambda: Outcomes([1, 2], [0.0]), "not one list each of the same length"),
        (lambda: Outcomes([1, 2], [0.0, float("nan")]), "not a finite number"),
        (lambda: paired(outcomes([1]), outcomes([0])), "too few to estimate"),
        (lambda: paired(outcomes([1, 0]), outcomes([0, 1, 1])), "not measured on the same items"),
        (
            lambda: paired(outcomes([1, 0, 1], [0, 0, 1]), outcomes([1, 0, 1], [0, 1, 1])),
            "not measured on the same items",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(make, message: str) -> None:
    with pytest.raises(ResultsError, match=message) as caught:
        make()
    assert caught.value.fix
