"""Typos, distractors and shuffles: what they may touch, and what they must not."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvec_merge.tasks.perturb.distractor import SENTENCES, distractor
from rvec_merge.tasks.perturb.lexicon import AMOUNTS
from rvec_merge.tasks.perturb.shuffle import shuffle
from rvec_merge.tasks.perturb.spec import Refusal
from rvec_merge.tasks.perturb.text import cut
from rvec_merge.tasks.perturb.typos import misspell, typos

STORY = (
    "Mr. Brook keeps 14 ponies in 3.5 acres of meadow. Anna_2 counted `total_sum` and "
    'wrote "seven horses" twice. He can\'t feed half of the yearlings. How many ponies eat grass?'
)


def changed_words(before: str, after: str) -> list[str]:
    pairs = zip(before.split(" "), after.split(" "), strict=True)
    return [old for old, new in pairs if old != new]


def test_typos_reach_plain_words_only() -> None:
    touched: set[str] = set()
    for seed in range(200):
        after = typos(STORY, random.Random(seed), protected=frozenset({"grass"}))
        assert isinstance(after, str)
        assert after != STORY
        touched.update(re.sub(r"\W", "", word) for word in changed_words(STORY, after))
    assert touched == {"keeps", "ponies", "acres", "meadow", "counted", "wrote", "yearlings"}


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ABC.0123456789$%'\"`-_\n", max_size=120))
def test_typos_keep_every_character_that_is_no_letter(text: str) -> None:
    after = typos(text, random.Random(text))
    if isinstance(after, Refusal):
        return
    keep = re.compile(r"[^a-z]")
    assert keep.findall(after) == keep.findall(text)
    assert after != text


@pytest.mark.parametrize("math", [True, False])
def test_formulas_stay_where_the_text_is_mathematics(math: bool) -> None:
    text = r"Compute $alpha + gamma$ and \text{sumup} for the remaining number."
    for seed in range(60):
        after = typos(text, random.Random(seed), math=math)
        if math:
            assert r"$alpha + gamma$ and \text{sumup}" in str(after)


def test_amounts_are_never_misspelt() -> None:
    text = " ".join(sorted(word for word in AMOUNTS if len(word) >= 5))
    assert isinstance(typos(text, random.Random(0)), Refusal)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=5, max_size=12), st.integers())
def test_an_error_stays_inside_the_word(word: str, seed: int) -> None:
    wrong = misspell(word, random.Random(seed))
    assert (wrong[0], wrong[-1]) == (word[0], word[-1])
    assert len(wrong) in {len(word), len(word) - 1}


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
    first, *rest = [topic for _, topic in SENTENCES]
    after = str(distractor(f"Rosa was asked about {' '.join(rest)}. How many?", random.Random(0)))
    assert re.search(SENTENCES[0][0].format(n=r"\d+"), after), first
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
