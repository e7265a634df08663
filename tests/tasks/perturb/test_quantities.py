"""How large a number may become, and how it is written."""

from fractions import Fraction

import pytest

from rvec_merge.tasks.perturb.quantities import OLDEST, grain, like, most


@pytest.mark.parametrize(
    ("question", "number", "bound"),
    [
        ("Ann works 5 days a week.", "5", 7),
        ("Ann sleeps 8 hours every night.", "8", 16),
        ("Ann waits 20 minutes in each hour.", "20", 60),
        ("Ann works 10 months a year.", "10", 12),
        ("Ann trains 50 weeks per year.", "50", 52),
        ("Ann is 9 years old.", "9", OLDEST),
        ("Ann's brother is 4. Ann is 3 years older.", "4", OLDEST),
        ("Ann drives 60 miles per hour.", "60", 800),
        ("Ann arrives at 4 PM.", "4", 0),
        ("Ann has 3 $5 bills.", "5", 0),
        ("Ann has 6 twenty dollar bills.", "6", 10**9),
        ("There are 28 days in the month.", "28", 0),
        ("Ann has 7 pens.", "7", 10**9),
    ],
)
def test_a_unit_bounds_its_number(question: str, number: str, bound: int) -> None:
    start = question.index(number)
    assert most(question, start, start + len(number)) == bound


@pytest.mark.parametrize(
    ("value", "step"), [(150_000, 10_000), (1500, 100), (100, 10), (80, 1), (125, 1), (1090, 10)]
)
def test_a_round_number_stays_round(value: int, step: int) -> None:
    assert grain(value) == step


@pytest.mark.parametrize(
    ("token", "value", "text"),
    [
        ("3.00", 5, "5.00"),
        ("150,000", 92000, "92,000"),
        ("1,200", 900, "900"),
        ("400000", 470000, "470000"),
        ("80", 24000, "24,000"),
        ("7", 9, "9"),
    ],
)
def test_a_number_keeps_its_form(token: str, value: int, text: str) -> None:
    assert like(token, Fraction(value), "unused") == text
    assert like(token, Fraction(1, 2), "0.5") == "0.5"
