"""New numbers, and the answer that follows from them."""

import random
import re
from fractions import Fraction

import pytest

from rvec_merge.recipe.resources import folder
from rvec_merge.tasks.local_data import read_items, sample_data
from rvec_merge.tasks.perturb import PerturbationSpec, Refusal, perturb, program
from rvec_merge.tasks.perturb.arithmetic import NotArithmetic, evaluate, written
from rvec_merge.tasks.perturb.numeric import FACTORS, far, near, renumber

ITEMS = read_items(sample_data() / "gsm8k" / "test.jsonl")


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


@pytest.mark.parametrize("draw", [near, far])
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["question"][:20])
def test_the_new_answer_follows_from_the_new_numbers(item: dict[str, str], draw: object) -> None:
    for seed in range(10):
        new = renumber(item["question"], item["answer"], random.Random(seed), draw)  # type: ignore[arg-type]
        if isinstance(new, Refusal):
            continue
        question, answer = new
        steps = re.findall(r"<<(.+?)=(.+?)>>", answer)
        # Python's own arithmetic is the oracle; the expressions are our own output.
        assert all(eval(expression) == float(value) for expression, value in steps)
        assert answer.rpartition("#### ")[2] == steps[-1][1]
        blank = re.compile(r"\d[\d,]*")
        assert blank.sub("#", question) == blank.sub("#", item["question"])
        assert question != item["question"]


def test_what_the_samples_yield() -> None:
    done = {
        item["question"].split()[0]: renumber(
            item["question"], item["answer"], random.Random(0), near
        )
        for item in ITEMS
    }
    refused = {name: new.reason for name, new in done.items() if isinstance(new, Refusal)}
    assert refused == {
        "Lena": "a number has two origins",
        "Tariq": "a word ties the answer to the order of sizes",
        "Sofia": "a number has no origin",
    }


def test_a_wider_range_multiplies() -> None:
    question = "Ann has 3 pens and 8 pads. How many?"
    new = renumber(question, "<<3+8=11>>\n#### 11", random.Random(1), far)
    assert not isinstance(new, Refusal)
    a, b = (int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", new[0]))
    assert a // 3 in FACTORS
    assert b // 8 in FACTORS
    assert new[1].endswith(f"#### {a + b}")


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


def test_percentages_fractions_times_and_names_stay() -> None:
    question = "At 7:30 Ann takes 25% of 80 pens and 1/2 of 40 pads to room B12 on the 3rd floor."
    answer = "<<80*.25=20>>20 <<40*1/2=20>>20 <<20+20=40>>40\n#### 40"
    new = renumber(question, answer, random.Random(0), near)
    # Both steps give 20, so nobody can tell which one the last step means.
    assert isinstance(new, Refusal)
    answer = "<<80*.25=20>>20 <<40*1/2=20>>20 <<80*.25+40*1/2=40>>40\n#### 40"
    assert isinstance(renumber(question, answer, random.Random(0), near), Refusal)
    question = question.replace("40 pads", "48 pads").replace("1/2", "half")
    new = renumber(question, "<<80*.25+48/2=44>>44\n#### 44", random.Random(3), near)
    assert not isinstance(new, Refusal)
    for text in ("7:30", "25%", "B12", "3rd"):
        assert text in new[0]


def test_the_embedded_familys_program_computes_its_own_answers() -> None:
    path = folder("eval") / "tasks" / "tiny" / "data" / "word_problems_test.jsonl"
    items = read_items(path)[:100]
    numeric = PerturbationSpec(kind="numeric", layout="program")
    for item in items:
        assert [text for text, _ in program.run(item["program"], item["numbers"])] == item["steps"]
        new = perturb(item, numeric)
        assert not isinstance(new, Refusal)
        assert [int(n) for n in re.findall(r"\d+", new["question"])] == new["numbers"]
        assert new["solution"].endswith(f"#### {new['answer']}")
        assert new["numbers"] != item["numbers"]
        moved = perturb(item, PerturbationSpec(kind="shuffle", layout="program"))
        if not item["shufflable"]:
            assert isinstance(moved, Refusal)
        elif not isinstance(moved, Refusal):
            assert moved["question"] != item["question"]
            assert sorted(moved["question"]) == sorted(item["question"])


def test_all_quantities_keep_their_order() -> None:
    """At a party of 25 men and 15 women, of whom a quarter left, 22 men stay and 8 women."""
    question = "There were 25 men and 15 women. 1/4 of all left. 22 men stayed. How many women?"
    answer = "<<25+15=40>>40 <<40/4=10>>10 <<40-10=30>>30 <<30-22=8>>8\n#### 8"
    for seed in range(60):
        new = renumber(question, answer, random.Random(seed), near)
        assert not isinstance(new, Refusal)
        men, women, _, _, stayed = map(int, re.findall(r"\d+", new[0]))
        assert women < stayed < men
        assert int(new[1].rpartition("#### ")[2]) < women
