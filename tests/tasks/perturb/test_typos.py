"""Typing errors: which words they may reach, and what they must not touch."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvec_merge.tasks.perturb.lexicon import AMOUNTS
from rvec_merge.tasks.perturb.spec import Refusal
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
