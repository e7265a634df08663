"""One irrelevant sentence with a number, about somebody from the item."""

import random
import re

from rvec_merge.tasks.perturb.lexicon import ACTIONS, DETERMINERS, NOT_A_NAME, NUMBER_WORDS
from rvec_merge.tasks.perturb.spec import Refusal
from rvec_merge.tasks.perturb.text import (
    cut,
    has_personal_pronoun,
    numbers,
    refers_back,
    words,
)

# A sentence is used only where the item says none of its topic words.
SENTENCES: tuple[tuple[str, str], ...] = (
    (
        "{who} lives at number {n}.",
        "live lives lived living number house houses home street address",
    ),
    ("{who}'s bus is line {n}.", "bus buses line lines drive drives driving travel station"),
    ("{who} watched channel {n} last night.", "channel channels watch watched tv show shows night"),
    ("A book beside {who} has {n} pages.", "book books page pages read reads reading library"),
    ("{who}'s favorite song lasts {n} seconds.", "song songs second seconds music sing minutes"),
    ("A clock near {who} is {n} seconds slow.", "clock clocks watch second seconds slow late time"),
    ("{who} heard a joke {n} weeks ago.", "joke jokes week weeks ago heard laugh"),
    ("{who} once dreamed of {n} clouds.", "cloud clouds dream dreams dreamed sky rain"),
    ("A poster behind {who} shows {n} stars.", "poster posters star stars picture pictures wall"),
    ("{who}'s umbrella has {n} stripes.", "umbrella umbrellas stripe stripes rain"),
)
NOBODY = "a neighbor"

_CAPITALISED = re.compile(r"\b[A-Z][a-z]{2,}\b")
_VERB_AFTER = re.compile(
    rf"(?:'s\b|,? and [A-Z][a-z]|\s+(?:{'|'.join(sorted(ACTIONS))}|[a-z]{{2,}}ed)\b"
    rf"|\s+[a-z]{{2,}}s\s+(?:\$?\d|(?:{'|'.join(sorted(DETERMINERS))})\b))"
)


def subject(text: str) -> str | None:
    """The first name in a text: capitalised, no common word, doing something or mid-sentence."""
    firsts = {sentence.split()[0].strip("\"'(,") for sentence in cut(text).sentences if sentence}
    fallback = None
    for match in _CAPITALISED.finditer(text):
        name = match.group()
        if name.lower() in NOT_A_NAME:
            continue
        acts = _VERB_AFTER.match(text, match.end()) is not None
        if acts and not (name in firsts and name.endswith("s")):
            return name
        if fallback is None and name not in firsts:
            fallback = name
    return fallback


def distractor(text: str, rng: random.Random, *, who: str | None = None) -> str | Refusal:
    """Insert one sentence of ``SENTENCES`` before a sentence that does not refer back.

    The subject is ``who``, or comes from the item, or is "a neighbor"; the number (3 to 98)
    is none of the item's. The last sentence stays last, and no pronoun is cut off
    from what it stands for.
    """
    prose = cut(text)
    told = words(text)
    usable = [sentence for sentence, topic in SENTENCES if not told & set(topic.split())]
    if not usable:
        return Refusal("every sentence of the list touches the item's topic")
    taken = numbers(text) | {str(NUMBER_WORDS[word]) for word in told & NUMBER_WORDS.keys()}
    number = rng.choice([str(n) for n in range(3, 99) if str(n) not in taken])
    extra = rng.choice(usable).format(who=who or subject(text) or NOBODY, n=number)
    places = [
        i
        for i, sentence in enumerate(prose.sentences)
        if i == 0 or not (refers_back(sentence) or has_personal_pronoun(sentence))
    ]
    sentences = list(prose.sentences)
    sentences.insert(rng.choice(places), extra[0].upper() + extra[1:])
    return prose.with_sentences(sentences)
