"""One irrelevant sentence with a number, about a thing that the item does not speak of."""

import random

from rvec_merge.tasks.perturb.lexicon import NUMBER_WORDS
from rvec_merge.tasks.perturb.spec import Refusal
from rvec_merge.tasks.perturb.text import cut, leans_at_its_start, numbers, words

# A sentence is used only where the item says none of its topic words, units among them. It is
# about a thing, so that no "she" after it could mean somebody else.
SENTENCES: tuple[tuple[str, str], ...] = (
    (
        "The clock on the wall is {n} seconds slow.",
        "clock watch second minute hour slow late time fast wall",
    ),
    (
        "The house across the street has number {n} on its door.",
        "house home street door number address apartment",
    ),
    (
        "Bus line {n} stops at the next corner.",
        "bus buses line corner stop station drive driving ride route",
    ),
    (
        "The dictionary on the shelf has {n} torn pages.",
        "book page read library shelf shelves letter word dictionary",
    ),
    (
        "A poster in the hallway shows {n} stars.",
        "poster star picture paint hall",
    ),
    (
        "The old piano next door has {n} scratched keys.",
        "piano music key keys song scratch",
    ),
    (
        "The flag on the town hall has {n} stripes.",
        "flag town stripe hall country",
    ),
    (
        "The bridge over the river is {n} years old.",
        "bridge river year old older age ages annual",
    ),
    (
        "The radio has been on channel {n} all week.",
        "radio channel week tv show listen",
    ),
    (
        "A painter once drew {n} clouds on the ceiling of the station.",
        "cloud paint draw drew ceiling station rain sky",
    ),
    (
        "The lighthouse at the coast can be seen from {n} kilometers away.",
        "kilometer km mile meter metre distance far light coast sea ship boat",
    ),
    (
        "The tower in the next village has {n} bells.",
        "bell tower village church ring rings",
    ),
)


def distractor(text: str, rng: random.Random) -> str | Refusal:
    """Insert one sentence of ``SENTENCES`` before any sentence that does not lean on another.

    The number (3 to 98) is none of the item's. The last sentence stays last, and no "it" or
    "they" is cut off from what it stands for.
    """
    prose = cut(text)
    told = words(text)
    usable = [sentence for sentence, topic in SENTENCES if not _touches(told, topic.split())]
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
