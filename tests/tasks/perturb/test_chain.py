"""Worked solutions: exact arithmetic and nothing else, and which chains are in doubt."""

import random
from fractions import Fraction

import pytest

from rvec_merge.tasks.perturb.chain import NotArithmetic, evaluate, written
from rvec_merge.tasks.perturb.numeric import near, renumber
from rvec_merge.tasks.perturb.spec import Refusal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,200*3", Fraction(3600)),
        (".25*8", Fraction(2)),
        ("(7-2)/2", Fraction(5, 2)),
        ("-3+10", Fraction(7)),
        ("$5+$6", Fraction(11)),
        ("0.1+0.2", Fraction(3, 10)),
    ],
)
def test_arithmetic_is_exact(text: str, value: Fraction) -> None:
    assert evaluate(text)[0] == value


@pytest.mark.parametrize(
    "text",
    ["2**9999999", "__import__('os').system('id')", "7//2", "7%2", "1/0", "a+1", "1 if 2 else 3",
     "True+1", "1e999999999", "1_0", "'1'*9", "", "1+" * 200 + "1", "0x10", "(lambda: 1)()"],
)  # fmt: skip
def test_anything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(NotArithmetic):
        evaluate(text)


def test_decimals_are_written_as_people_write_them() -> None:
    assert [written(Fraction(x)) for x in ("3", "5/2", "1/8")] == ["3", "2.5", "0.125"]
    with pytest.raises(NotArithmetic):
        written(Fraction(1, 3))


QUESTION = "Ann has 6 pens and 8 pads. How many things does Ann have?"


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (QUESTION, "6+8=14\n#### 14", "no worked steps"),
        (QUESTION, "<<6+8=14>>14", "no worked steps"),
        (QUESTION, "<<6+8=15>>15\n#### 15", "a step is rounded or wrong"),
        (QUESTION, "<<6+x=14>>14\n#### 14", "a step is not plain arithmetic"),
        (QUESTION, "<<6+8=14>>14 so 14+1 = 15\n#### 14", "a step is not annotated"),
        (QUESTION, "<<6+8=14>>14\n#### 20", "the last step is not the answer"),
        (QUESTION, "<<6+8=14>>14\n#### many", "the answer is no number"),
        (QUESTION, "<<6+9=15>>15\n#### 15", "a number has no origin"),
        (QUESTION, "<<6*6=36>>36\n#### 36", "a number of the question is not used"),
        (QUESTION, "<<6+8=14>>14 <<6*8=48>>48\n#### 48", "a step is not used"),
        ("Ann has 2 pens and twice as many pads, 9 in all?", "<<2*9=18>>18\n#### 18",
         "a number has two origins"),
        ("Ann works 7 hours on each day of the week. How long?", "<<7*7=49>>49\n#### 49",
         "a number has two origins"),
        ("Ann buys 6 pens at a limit of 8 each?", "<<6+8=14>>14\n#### 14",
         "a word ties the answer to the order of sizes"),
        ("Ann has one pen.", "<<1+1=2>>2\n#### 2", "no number may change"),
        ("Ann has 4 pads, 3 pens and 4 pads more.", "<<4+3=7>> <<7+4=11>> <<11+4=15>>\n#### 15",
         "a number is used more often than it is told"),
        ("Ann buys 6 pens and one of each of 8 pads.", "<<6+8=14>>14\n#### 14",
         "a word ties the answer to the order of sizes"),
        ("Ann, Bo and Cy get 3 pens each.", "<<3*3=9>>9\n#### 9", "a number has two origins"),
        ("Ann's 3 brothers and both parents get 2 pens.", "<<3+2=5>>5 <<5*2=10>>10\n#### 10",
         "a number has two origins"),
        ("Ann's dogs have 4 collars each, 6 dogs.", "<<6*4=24>>24\n#### 24",
         "a number has two origins"),
        ("Ann removes 15 pounds, 30 comics.", "<<30*.25=7.5>>7.5 <<15=15>>15\n#### 15",
         "a step computes nothing"),
        ("Ann runs 6 miles in 7 hours.", "<<6/7=0.86>>0.86\n#### 0.86",
         "a step is rounded or wrong"),
    ],
)  # fmt: skip
def test_an_item_in_doubt_is_refused(question: str, answer: str, reason: str) -> None:
    new = renumber(question, answer, random.Random(0), near)
    assert isinstance(new, Refusal)
    assert new.reason == reason
