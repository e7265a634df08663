"""Noise for the base model's word problems, so that it can read imperfect text.

Every kind keeps the answer: typing errors in words, an irrelevant sentence with or without a
number, sentences in another order.
"""

from __future__ import annotations

import random

from .problems import NAMES, Problem

IRRELEVANT = (
    "The day is warm.",
    "It rains all morning.",
    "{who} likes music.",
    "The door is open.",
    "{who} is a good friend.",
)
IRRELEVANT_NUMBER = (
    "{who} is {} years old.",
    "The bus comes at {}.",
    "{who} lives at number {}.",
    "The room has {} chairs.",
)


def _misspell(rng: random.Random, word: str) -> str:
    i = rng.randrange(1, len(word) - 1)
    kind = rng.choice(("swap", "drop", "double"))
    if kind == "swap":
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return word[:i] + (word[i + 1 :] if kind == "drop" else word[i] + word[i:])


def typing_errors(rng: random.Random, text: str, rate: float = 0.12) -> str:
    """Misspell ``rate`` of the longer words; numbers stay as they are."""
    words = []
    for word in text.split(" "):
        core = word.rstrip(".?")
        if len(core) >= 4 and core.isalpha() and rng.random() < rate:
            word = _misspell(rng, core) + word[len(core) :]
        words.append(word)
    return " ".join(words)


def distracted(rng: random.Random, problem: Problem, sentences: tuple[str, ...]) -> str:
    """Insert one of ``sentences``, about somebody who is not part of the story."""
    who = rng.choice([name for name in NAMES if name not in problem.people])
    text = list(problem.sentences)
    extra = rng.choice(sentences).format(rng.randint(2, 60), who=who)
    text.insert(rng.randint(0, len(text)), extra)
    return " ".join((*text, problem.query))


def shuffled(rng: random.Random, problem: Problem) -> str:
    order = rng.sample(problem.sentences, len(problem.sentences))
    return " ".join((*order, problem.query))


def noisy(rng: random.Random, problem: Problem) -> str:
    """Return the problem's text with one kind of noise."""
    kind = rng.choice(("typing", "sentence", "number", "order"))
    if kind == "typing":
        return typing_errors(rng, problem.text)
    if kind == "sentence":
        return distracted(rng, problem, IRRELEVANT)
    if kind == "number":
        return distracted(rng, problem, IRRELEVANT_NUMBER)
    return shuffled(rng, problem) if problem.shufflable else problem.text
