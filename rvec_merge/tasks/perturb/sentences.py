"""Perturbations of whole sentences, and the small, exact rules by which prose is cut into them."""

import random
import re
from dataclasses import dataclass

from rvec_merge.tasks.perturb.lexicon import (
    ABBREVIATIONS,
    COMPARES,
    DISTRACTORS,
    NUMBER_WORDS,
    ORDER,
    POINTS,
    REFERS_BACK,
    THINGS,
)
from rvec_merge.tasks.perturb.spec import Refusal

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
WORD = re.compile(r"[A-Za-z]+")

_BOUNDARY = re.compile(r"""[.!?]["')\]]*(\s+)(?=["'(\[]*[A-Z0-9$])""")
_LABEL = re.compile(r"[A-Z][a-z]+:\s+")

_EXISTS = re.compile(r"^There (?:is|are|was|were)\b")
_INDEFINITE = re.compile(r"\b(?:an?|\d[\d,]*|some|several|many)\s+(?:[a-z]+\s+)??([a-z]{3,})\b")
_DEFINITE = re.compile(r"\b[Tt]he\s+(?:[a-z]+\s+)??([a-z]{3,})\b")


@dataclass(frozen=True)
class Prose:
    """A text cut into sentences: ``label + s0 + gap0 + s1 + ...`` is the text again."""

    label: str
    sentences: tuple[str, ...]
    gaps: tuple[str, ...]
    tail: str

    def with_sentences(self, sentences: list[str]) -> str:
        """Write sentences (in another order, or one more) into the gaps of this text."""
        gaps = list(self.gaps)
        while len(gaps) < len(sentences) - 1:
            gaps.insert(0, " ")
        joined = "".join(s + g for s, g in zip(sentences, [*gaps, ""], strict=False))
        return self.label + joined + self.tail


def cut(text: str) -> Prose:
    """Cut a text into sentences, keeping every character."""
    label = match.group() if (match := _LABEL.match(text)) else ""
    body = text[len(label) :]
    stripped = body.rstrip()
    sentences, gaps, start = [], [], 0
    for boundary in _BOUNDARY.finditer(stripped):
        before = stripped[start : boundary.start()].split()
        if before and stripped[boundary.start()] == ".":
            last = before[-1].lower().strip("(\"'")
            if last in ABBREVIATIONS or re.fullmatch(r"[a-z]", last):
                continue
        sentences.append(stripped[start : boundary.start(1)])
        gaps.append(boundary.group(1))
        start = boundary.end()
    sentences.append(stripped[start:])
    return Prose(label, tuple(sentences), tuple(gaps), body[len(stripped) :])


def words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


def numbers(text: str) -> set[str]:
    return {match.replace(",", "") for match in NUMBER.findall(text)}


def distractor(text: str, rng: random.Random) -> str | Refusal:
    """Insert one sentence of ``DISTRACTORS`` before any sentence that does not lean on another.

    The number (3 to 98) is none of the item's. The last sentence stays last, and no "it" or
    "they" is cut off from what it stands for.
    """
    prose = cut(text)
    told = words(text)
    usable = [sentence for sentence, topic in DISTRACTORS if not _touches(told, topic.split())]
    if not usable:
        return Refusal("every sentence of the list touches the item's topic")
    taken = numbers(text) | {str(NUMBER_WORDS[word]) for word in told & NUMBER_WORDS.keys()}
    number = rng.choice([str(n) for n in range(3, 99) if str(n) not in taken])
    extra = rng.choice(usable).format(n=number)
    sentences = list(prose.sentences)
    places = [i for i, told in enumerate(sentences) if i == 0 or not leans_at_its_start(told)]
    # At the front only where there is no other place: a fixed place is easily learnt.
    sentences.insert(rng.choice(places[1:] or places), extra)
    return prose.with_sentences(sentences)


def _touches(told: set[str], topic: list[str]) -> bool:
    """Whether an item speaks of a topic, in any form: "weekly" and "weekend" speak of weeks."""
    return any(
        word == subject or (len(subject) > 3 and word.startswith(subject))
        for word in told
        for subject in topic
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


def refers_back(sentence: str) -> bool:
    """Whether a sentence holds a word that points at what was said before it."""
    told = words(_EXISTS.sub("", sentence))
    compares = bool(told & COMPARES) and "than" not in told
    return bool(told & REFERS_BACK) or compares or "%" in sentence or sentence.startswith("Each ")


def points_back(last: str) -> bool:
    """Whether the last sentence needs its antecedent close by; a question may say "left"."""
    return bool(words(last) & POINTS) if last.endswith("?") else refers_back(last)


def leans_at_its_start(sentence: str) -> bool:
    """Whether a sentence about a thing, put before this one, could be what this one means.

    "It", "they" and "these" may mean a thing wherever they stand early; "she" means nobody new.
    """
    first = [word.lower() for word in WORD.findall(sentence)[:4]]
    return bool(set(first) & THINGS) or bool(set(first[:1]) & ORDER) or sentence.startswith("Each ")


def definite_mentions(sentence: str) -> set[str]:
    """Nouns that a sentence takes as known: "the box"."""
    return {_singular(noun) for noun in _DEFINITE.findall(sentence)}


def introduced(sentence: str) -> set[str]:
    """Nouns that a sentence brings in: "a box", "5 boxes"."""
    return {_singular(noun) for noun in _INDEFINITE.findall(sentence)}


def _singular(noun: str) -> str:
    for ending, replacement in (("ies", "y"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if noun.endswith(ending):
            return noun[: -len(ending)] + replacement
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun
