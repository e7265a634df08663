"""What a text is worth as a number, and what is no number."""

from fractions import Fraction

import pytest

from rvec_merge.answer.numbers import numbers, value


@pytest.mark.parametrize(
    ("text", "worth"),
    [("twenty-five apples", 25), ("−3", -3), ("½", Fraction(1, 2)), ("Rs. 1,200", 1200),
     ("3 metres", 3), ("18 or 20", None), ("1/0", None), ("twelve two", None)],
)  # fmt: skip
def test_all_of_a_text_is_one_number_or_it_is_none(text: str, worth: object) -> None:
    assert value(text) == worth


def test_times_dates_and_exponents_are_no_numbers() -> None:
    assert [found[0] for found in numbers("At 5:30 on 1/2/2024: 10^3 of 7 pens.")] == ["7"]
