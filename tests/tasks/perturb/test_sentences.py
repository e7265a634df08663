"""Distractors and shuffles: what they may touch, and what they must not."""

import random
import re

import pytest

from rvec_merge.tasks.perturb.lexicon import DISTRACTORS
from rvec_merge.tasks.perturb.sentences import cut, distractor, shuffle
from rvec_merge.tasks.perturb.spec import Refusal


def test_the_distractor_is_one_new_sentence_with_a_new_number_before_the_question() -> None:
    text = "Rosa has 14 rolls. They taste good. Otto brings three. How many rolls are there?"
    places = set()
    for seed in range(100):
        after = distractor(text, random.Random(seed))
        assert isinstance(after, str)
        old, new = cut(text).sentences, cut(after).sentences
        (extra,) = [sentence for sentence in new if sentence not in old]
        assert [sentence for sentence in new if sentence != extra] == list(old)
        assert new[-1] == old[-1]
        places.add(new.index(extra))
        (number,) = re.findall(r"\d+", extra)
        assert number not in {"14", "3"}
    assert places == {2, 3}, "never between Rosa's rolls and They, nor always at one place"


def test_a_distractor_goes_to_the_front_where_nothing_else_is_left() -> None:
    after = str(distractor("Rosa has 14 rolls. How many is it?", random.Random(1)))
    assert cut(after).sentences[1:] != ()
    only = str(distractor("Rosa has 14 rolls?", random.Random(1)))
    assert cut(only).sentences[-1] == "Rosa has 14 rolls?"


def test_a_distractor_speaks_of_nothing_that_the_item_speaks_of() -> None:
    first, *rest = [topic for _, topic in DISTRACTORS]
    after = str(distractor(f"Rosa was asked about {' '.join(rest)}. How many?", random.Random(0)))
    assert re.search(DISTRACTORS[0][0].format(n=r"\d+"), after), first
    everything = " ".join([first, *rest])
    assert isinstance(distractor(f"Rosa: {everything}?", random.Random(0)), Refusal)
    for seed in range(60):
        weekly = str(distractor("Rosa earns 5 euros weekly. How much?", random.Random(seed)))
        assert "week." not in weekly, "weekly and week are one unit"


def test_shuffle_keeps_the_sentences_the_gaps_and_the_question() -> None:
    text = "Question: Ana has 3 pens. Bo has 5 pens.\n Cy has 9 pens. How many pens are there?"
    after = shuffle(text, random.Random(0))
    assert isinstance(after, str)
    assert after != text
    assert after.startswith("Question: ")
    assert after.endswith("How many pens are there?")
    assert sorted(cut(after).sentences) == sorted(cut(text).sentences)
    assert sorted(after) == sorted(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ana has 3 pens. How many pens are there?",
        "Ana has 3 pens. She buys 2 pens. How many pens are there?",
        "Ana has 3 pens. Then Bo gives Ana 2 pens. How many pens are there?",
        "Ana has 3 pens. Bo takes half of all pens. How many pens are there?",
        "Ana has a box. The box holds 3 pens. How many pens are there?",
        "Ana has 5 boxes. Bo opens the box. How many boxes are shut?",
        "Ana has 3 pens. Bo has 4 more pens. How many pens are there?",
        "Ana has 3 pens. Bo has twice as many. How many pens are there?",
        "Ana has 3 pens. Bo has 20% of all pens. How many pens are there?",
        "Where is Ana? Ana has 3 pens. How many pens are there?",
        "Ana has 3 pens. Bo has 4 pens. How many pens does he have?",
        "Ana has 3 pens. Bo has 4 pens. How much do these cost?",
        "Water boils. Water freezes. This is called a change.",
        "Ana has 3 pens. Ana has 3 pens. How many pens are there?",
    ],
)
def test_shuffle_refuses_what_leans_on_its_order(text: str) -> None:
    assert isinstance(shuffle(text, random.Random(0)), Refusal)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Ng has 3.5 liters. She drinks it.", 2),
        ("It is 5 p.m. now. Go!", 2),
        ('He said "Stop." Then he left.', 2),
        ("J. Smith ran. Was it far? Yes.", 3),
        ("No end", 1),
    ],
)
def test_sentences_are_cut_where_they_end(text: str, count: int) -> None:
    prose = cut(text)
    assert len(prose.sentences) == count
    assert prose.with_sentences(list(prose.sentences)) == text
