"""Answers in words and letters: which outputs are right, whatever form they have."""

import pytest

from rvec_merge.answer.judge import judge

WORDS = [
    ("So the answer is **True**.", "True", 1),
    ("Yes, because both lie.", "Yes", 1),
    ("The answer is: Not true", "False", 0),
    ("The answer is either yes or no.", "yes", 0),
    ("</think>\nThe argument is invalid.", "valid", 0),
    ("The answer is: apple, pear, zebra", "apple pear zebra", 1),
    ("The answer is ] ) }", "] ) }", 1),
]
CHOICE = [
    ("The answer is (B).", "(B)", 1),
    ("Option B is correct.", "(B)", 1),
    ("A is wrong, since it is inert. Option (B) is the right one.", "(B)", 1),
    ("Correct choice: B", "(B)", 1),
    ("<think>A?</think>**B**", "B", 1),
    ("**B) oxygen**", "B", 1),
    ("The answer is A or B.", "(B)", 0),
    ("The answer is A plant.", "(A)", 0),
    ("The answer is oxygen.", "(B)", 1),
]


@pytest.mark.parametrize(("output", "gold", "right"), WORDS)
def test_words(output: str, gold: str, right: int) -> None:
    assert judge("words", {}, "", gold, [output])["answer"] == right


@pytest.mark.parametrize(("output", "gold", "right"), CHOICE)
def test_choices(output: str, gold: str, right: int) -> None:
    prompt = "Q: What do we breathe?\nOptions:\n(A) helium\n(B) oxygen\nA:"
    assert judge("choice", {}, prompt, gold, [output])["answer"] == right
