"""New numbers, and the answer that follows from them."""

import random
import re

import pytest

from rvec_merge.tasks.local_data import read_items, sample_data
from rvec_merge.tasks.perturb.numeric import FACTORS, far, near, renumber
from rvec_merge.tasks.perturb.spec import Refusal

ITEMS = read_items(sample_data() / "gsm8k" / "test.jsonl")


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
