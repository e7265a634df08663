"""Word problems in plain English: one to three steps, names, units, numbers that do not matter.

The answer is a positive whole number. Two problems with the same kind of story and the same
numbers are the same content, in whichever names and goods: they lie in one split.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import datasets

from rvec_merge.tasks.generated import draw

SIZES = {"train": 3000, "validation": 200, "test": 600}
SEED = 20261126
LARGEST = 400


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIRLS = _words("Alice Clara Dina Elena Farah Greta Hana Iris Julia Lena Maya Nadia Petra Rosa Tara")
BOYS = _words(
    "Adam Boris Carlos Daniel Emil Felix Georg Hugo Ivan Jonas Karim Liam Marco Noel Oscar"
)
THINGS = _words("apples stickers marbles pencils stamps cookies books shells buttons photos coins")
MEASURES = ("litres of water", "kilograms of flour", "metres of rope", "grams of sugar")
HOLDERS = (("boxes", "box"), ("bags", "bag"), ("trays", "tray"), ("shelves", "shelf"))
GOODS = _words("notebook ticket sandwich scarf plant candle puzzle lamp")
WORK = (("reads", "pages"), ("paints", "tiles"), ("writes", "letters"), ("walks", "kilometres"))
ASIDES = (
    "{other} is {n} years old.",
    "It is {n} degrees outside.",
    "The bus ride takes {n} minutes.",
    "There are {n} houses in the street.",
    "{other} has a dog that weighs {n} kilograms.",
)


@dataclass(frozen=True)
class Story:
    """Sentences, a question, and the steps that answer it; ``numbers`` are what counts."""

    sentences: tuple[str, ...]
    question: str
    steps: tuple[str, ...]
    answer: int
    unit: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Cast:
    """Who a story is about."""

    who: str
    she: str
    other: str


def _cast(rng: random.Random) -> Cast:
    girl = rng.random() < 0.5
    who = rng.choice(GIRLS if girl else BOYS)
    other = rng.choice([name for name in GIRLS + BOYS if name != who])
    return Cast(who, "she" if girl else "he", other)


def _changes(rng: random.Random, cast: Cast) -> Story:
    """Gains and losses, one to three of them."""
    thing = rng.choice(THINGS + MEASURES)
    total = rng.randint(8, 60)
    numbers = [total]
    sentences = [f"{cast.who} has {total} {thing}."]
    steps = []
    for _ in range(rng.randint(1, 3)):
        gain = total < 12 or rng.random() < 0.5
        change = rng.randint(2, 40 if gain else total - 3)
        verb = rng.choice(("gets", "buys", "finds") if gain else ("uses", "loses", "gives away"))
        more = " more" if gain else ""
        sentences.append(f"Then {cast.she} {verb} {change}{more} {thing}.")
        after = total + change if gain else total - change
        steps.append(f"{total} {'+' if gain else '-'} {change} = {after}")
        numbers.append(change if gain else -change)
        total = after
    question = f"How many {thing} does {cast.who} have now?"
    return Story(tuple(sentences), question, tuple(steps), total, thing, tuple(numbers))


def _compared(rng: random.Random, cast: Cast) -> Story:
    """One has more or fewer than another; how many together?"""
    thing = rng.choice(THINGS)
    own, gap = rng.randint(10, 50), rng.randint(2, 9)
    more = rng.random() < 0.5
    theirs = own + gap if more else own - gap
    sentences = [
        f"{cast.who} has {own} {thing}.",
        f"{cast.other} has {gap} {'more' if more else 'fewer'} {thing} than {cast.who}.",
    ]
    steps = [f"{own} {'+' if more else '-'} {gap} = {theirs}", f"{own} + {theirs} = {own + theirs}"]
    question = f"How many {thing} do they have together?"
    numbers = (own, gap if more else -gap)
    return Story(tuple(sentences), question, tuple(steps), own + theirs, thing, numbers)


def _shopping(rng: random.Random, cast: Cast) -> Story:
    """Things at a price; the cost, or what is left of the money."""
    good, count, price = rng.choice(GOODS), rng.randint(2, 9), rng.randint(2, 12)
    cost = count * price
    sentences = [f"A {good} costs {price} dollars.", f"{cast.who} buys {count} of them."]
    steps = [f"{count} * {price} = {cost}"]
    if rng.random() < 0.4:
        question = f"How many dollars does {cast.who} pay?"
        return Story(tuple(sentences), question, tuple(steps), cost, "dollars", (count, price))
    money = cost + rng.randint(3, 40)
    sentences.insert(0, f"{cast.who} has {money} dollars.")
    steps.append(f"{money} - {cost} = {money - cost}")
    question = f"How many dollars does {cast.she} have left?"
    numbers = (count, price, money)
    return Story(tuple(sentences), question, tuple(steps), money - cost, "dollars", numbers)


def _groups(rng: random.Random, cast: Cast) -> Story:
    """Containers with the same in each, and some loose ones or some taken out."""
    thing, (many, one) = rng.choice(THINGS), rng.choice(HOLDERS)
    count, each = rng.randint(2, 9), rng.randint(3, 12)
    total = count * each
    sentences = [
        f"{cast.who} fills {count} {many} with {thing}.",
        f"Each {one} holds {each} {thing}.",
    ]
    steps = [f"{count} * {each} = {total}"]
    numbers = [count, each]
    if rng.random() < 0.7:
        loose = rng.randint(2, 15)
        after = total + loose
        sentences.append(f"There are {loose} {thing} that do not fit in.")
        steps.append(f"{total} + {loose} = {after}")
        numbers.append(loose)
        total = after
        if rng.random() < 0.4:
            gone = rng.randint(2, total - 3)
            sentences.append(f"{cast.who} gives {gone} {thing} to {cast.other}.")
            steps.append(f"{total} - {gone} = {total - gone}")
            numbers.append(-gone)
            total -= gone
    question = f"How many {thing} does {cast.who} have?"
    return Story(tuple(sentences), question, tuple(steps), total, thing, tuple(numbers))


def _rates(rng: random.Random, cast: Cast) -> Story:
    """So many a day for some days, of a whole or on top of what was there."""
    verb, thing = rng.choice(WORK)
    rate, days = rng.randint(3, 15), rng.randint(2, 8)
    done = rate * days
    steps = [f"{rate} * {days} = {done}"]
    sentences = [f"{cast.who} {verb} {rate} {thing} every day for {days} days."]
    if rng.random() < 0.5:
        rest = rng.randint(2, 30)
        sentences.append(f"After that there are {rest} {thing} to go.")
        steps.append(f"{done} + {rest} = {done + rest}")
        question = f"How many {thing} are there in all?"
        numbers = (rate, days, rest)
        return Story(tuple(sentences), question, tuple(steps), done + rest, thing, numbers)
    question = f"How many {thing} is that in all?"
    return Story(tuple(sentences), question, tuple(steps), done, thing, (rate, days))


def _shared(rng: random.Random, cast: Cast) -> Story:
    """Something is shared equally, perhaps after a change."""
    thing = rng.choice(THINGS)
    people, each = rng.randint(2, 8), rng.randint(3, 15)
    total = people * each
    first = rng.randint(2, total - 1)
    question = f"How many {thing} does each of them get?"
    end = f"{cast.who} shares all {thing} equally among {people} friends."
    if rng.random() < 0.4:
        sentences = [f"{cast.who} has {total} {thing}.", end]
        return Story(
            tuple(sentences), question, (f"{total} / {people} = {each}",), each, thing,
            (total, people),
        )  # fmt: skip
    sentences = [
        f"{cast.who} has {first} {thing}.",
        f"{cast.other} brings {total - first} more {thing}.",
        end,
    ]
    steps = (f"{first} + {total - first} = {total}", f"{total} / {people} = {each}")
    return Story(tuple(sentences), question, steps, each, thing, (first, total - first, people))


KINDS: dict[str, Callable[[random.Random, Cast], Story]] = {
    "changes": _changes,
    "compared": _compared,
    "shopping": _shopping,
    "groups": _groups,
    "rates": _rates,
    "shared": _shared,
}


def make(rng: random.Random) -> dict[str, Any]:
    """One problem; in two of five a number that does not matter stands in it."""
    kind = rng.choice(tuple(KINDS))
    while True:
        cast = _cast(rng)
        story = KINDS[kind](rng, cast)
        if 0 < story.answer <= LARGEST:
            break
    sentences = list(story.sentences)
    if aside := rng.random() < 0.4:
        text = rng.choice(ASIDES).format(other=cast.other, n=rng.randint(4, 45))
        sentences.insert(rng.randint(1, len(sentences)), text)
    return {
        "key": f"{kind} {story.numbers}",
        "kind": kind,
        "question": " ".join([*sentences, story.question]),
        "answer": str(story.answer),
        "steps": len(story.steps),
        "aside": aside,
        "solution": "\n".join([*story.steps, f"The answer is {story.answer} {story.unit}."]),
    }


def load(seed: int = SEED, **_: Any) -> datasets.DatasetDict:
    """The three splits, for a task file's ``custom_dataset``."""
    return draw.dataset(make, seed, SIZES)
