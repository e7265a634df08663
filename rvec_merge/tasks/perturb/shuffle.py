"""Sentences in another order, where no sentence needs the ones before it."""

import random

from rvec_merge.tasks.perturb.spec import Refusal
from rvec_merge.tasks.perturb.text import (
    cut,
    definite_mentions,
    introduced,
    points_back,
    refers_back,
)


def shuffle(text: str, rng: random.Random) -> str | Refusal:
    """Reorder all sentences but the last, which asks; never the order they came in.

    Refused: fewer than two sentences before the last; a question before the last; a sentence
    that refers back by a pronoun, an order word or a share ("then", "the rest", "half"); a
    definite noun that another sentence introduces ("a box", later "the box"); a last
    sentence that points back, for whatever then stands before it would be meant.
    """
    prose = cut(text)
    *body, last = prose.sentences
    if len(set(body)) < 2:
        return Refusal("fewer than two sentences before the question")
    if any("?" in sentence for sentence in body):
        return Refusal("a question is not last")
    if any(refers_back(sentence) for sentence in body) or _leans(body):
        return Refusal("a sentence refers back")
    if points_back(last):
        return Refusal("the last sentence points at one before it")
    order = list(body)
    while order == body:
        rng.shuffle(order)
    return prose.with_sentences([*order, last])


def _leans(body: list[str]) -> bool:
    return any(
        definite_mentions(sentence) & introduced(other)
        for sentence in body
        for other in body
        if other is not sentence
    )
