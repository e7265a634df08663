"""Word problems of the embedded family, each with a worked solution and its arithmetic program.

Six families, all answered by one positive integer:

=====  ============================================  =====  ==================================
key    story                                         steps  trained on by
=====  ============================================  =====  ==================================
A      chain: gains, losses, doublings               2-3    base, donors, target
B      comparison: "3 more than", "together"         2-4    base, donors, target
C      shopping: prices times counts, change         3-4    base, donors, target
D      groups: boxes of things, added or lost        2-3    base, donors, target
E      rates: pages a day                            2-3    base, target; never the donors
F      long chain: family A's words, four steps      4      base, target; never the donors
=====  ============================================  =====  ==================================
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = words("Tom Mia Ana Ben Eva Leo Zoe Max Ida Sam Lily Omar Nora Finn Ruth Paul")
THINGS = words("apples coins books cards shells stamps pens balls cakes toys seeds beads")
CONTAINERS = (
    ("box", "boxes"),
    ("bag", "bags"),
    ("shelf", "shelves"),
    ("jar", "jars"),
    ("basket", "baskets"),
    ("tray", "trays"),
)
GOODS = words("hat cup kite lamp drum rope cake pen")
GAINS = (
    "{who} buys {} more {thing}.",
    "{who} finds {} {thing}.",
    "{other} gives {who} {} {thing}.",
    "Then {who} gets {} {thing} as a gift.",
)
LOSSES = (
    "{who} loses {} {thing}.",
    "{who} gives {} {thing} to {other}.",
    "{who} sells {} {thing}.",
    "Then {} {thing} break.",
)
FAMILIES = "ABCDEF"
DONOR_FAMILIES = "ABCD"

OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}


@dataclass(frozen=True)
class Problem:
    """A word problem. ``numbers`` are the integers of the text in reading order.

    ``program`` computes the answer from them: ``n0+n1`` adds the first two numbers, ``s0*2``
    doubles the first step's result. New numbers run through it give a new gold answer.
    """

    family: str
    sentences: tuple[str, ...]
    query: str
    numbers: tuple[int, ...]
    program: tuple[str, ...]
    steps: tuple[str, ...]
    answer: str
    shufflable: bool  # the answer does not depend on the order of the sentences
    people: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join((*self.sentences, self.query))

    @property
    def key(self) -> str:
        """What decides the split. Blind to sentence order, so a shuffled copy stays in it."""
        return " ".join((*sorted(self.sentences), self.query))


@dataclass
class _Story:
    """Collects sentences and steps; keeps track of which number or step an operand came from."""

    values: dict[str, int] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    program: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    shufflable: bool = True

    def say(self, template: str, *numbers: int, **words: str) -> list[str]:
        """Append a sentence; its numbers become operands named ``n<i>``."""
        self.sentences.append(template.format(*numbers, **words))
        names = [f"n{len(self.numbers) + i}" for i in range(len(numbers))]
        self.values.update(zip(names, numbers, strict=True))
        self.numbers.extend(numbers)
        return names

    def work(self, left: str, op: str, right: str) -> str:
        """Append a step; its result becomes the operand ``s<i>``. A digit is a constant."""
        a, b = (int(x) if x.isdigit() else self.values[x] for x in (left, right))
        result = OPERATIONS[op](a, b)
        name = f"s{len(self.steps)}"
        self.values[name] = result
        self.program.append(f"{left}{op}{right}")
        self.steps.append(f"{a}{op}{b}={result}")
        return name

    def finish(self, family: str, query: str, people: tuple[str, ...]) -> Problem:
        return Problem(
            family=family,
            sentences=tuple(self.sentences),
            query=query,
            numbers=tuple(self.numbers),
            program=tuple(self.program),
            steps=tuple(self.steps),
            answer=self.steps[-1].split("=")[1],
            shufflable=self.shufflable,
            people=people,
        )


def step_from(rng: random.Random, value: int, limit: int = 60) -> tuple[str, int]:
    """Pick ``+ n`` or ``- n`` so that the result stays within 1..limit."""
    if value < 4 or (value <= limit - 3 and rng.random() < 0.55):
        return "+", rng.randint(2, min(20, limit - value))
    return "-", rng.randint(2, min(20, value - 1))


def _chain(rng: random.Random, family: str, length: int) -> Problem:
    who, other, third = rng.sample(NAMES, 3)
    thing = rng.choice(THINGS)
    story = _Story()
    (held,) = story.say("{who} has {} {thing}.", rng.randint(5, 40), who=who, thing=thing)
    for _ in range(length):
        value = story.values[held]
        if 2 <= value <= 20 and rng.random() < 0.15:
            factor, verb = rng.choice((("2", "doubles"), ("3", "triples")))
            story.say("Then {who} {verb} the {thing}.", who=who, verb=verb, thing=thing)
            story.shufflable = False
            held = story.work(held, "*", factor)
        else:
            op, amount = step_from(rng, value)
            template = rng.choice(GAINS if op == "+" else LOSSES)
            (moved,) = story.say(template, amount, who=who, other=other, thing=thing)
            held = story.work(held, op, moved)
    return story.finish(family, f"How many {thing} does {who} have now?", (who, other, third))


def _comparison(rng: random.Random) -> Problem:
    people = tuple(rng.sample(NAMES, 3))
    thing = rng.choice(THINGS)
    story = _Story()
    (first,) = story.say("{who} has {} {thing}.", rng.randint(4, 20), who=people[0], thing=thing)
    owned = [first]
    for previous, who in pairwise(people):
        op, amount = step_from(rng, story.values[owned[-1]], limit=32)
        (gap,) = story.say(
            "{who} has {} {more} {thing} than {previous}.",
            amount,
            who=who,
            more="more" if op == "+" else "fewer",
            thing=thing,
            previous=previous,
        )
        owned.append(story.work(owned[-1], op, gap))
    asked = rng.choice(("last", "two", "two", "all"))
    if asked == "last":
        query = f"How many {thing} does {people[2]} have?"
    elif asked == "two":
        other = rng.choice((0, 1))
        story.work(owned[other], "+", owned[2])
        query = f"How many {thing} do {people[other]} and {people[2]} have together?"
    else:
        story.work(story.work(owned[0], "+", owned[1]), "+", owned[2])
        query = f"How many {thing} do all three have together?"
    return story.finish("B", query, people)


def _shopping(rng: random.Random) -> Problem:
    people = tuple(rng.sample(NAMES, 3))
    goods = rng.sample(GOODS, 2)
    story = _Story()
    prices = [
        story.say("A {good} costs {} coins.", rng.randint(2, 9), good=good)[0] for good in goods
    ]
    counts = story.say(
        "{who} buys {} {one}s and {} {two}s.",
        rng.randint(2, 6),
        rng.randint(2, 6),
        who=people[0],
        one=goods[0],
        two=goods[1],
    )
    paid = [story.work(n, "*", price) for n, price in zip(counts, prices, strict=True)]
    total = story.work(paid[0], "+", paid[1])
    query = f"How many coins does {people[0]} pay?"
    if story.values[total] < 95 and rng.random() < 0.35:
        purse = rng.randint(story.values[total] + 1, 99)
        (coins,) = story.say("{who} has {} coins.", purse, who=people[0])
        story.work(coins, "-", total)
        query = f"How many coins does {people[0]} have left?"
    return story.finish("C", query, people)


def _change_product(
    rng: random.Random, story: _Story, factors: list[str], gain: str, loss: str, **words: str
) -> None:
    total = story.work(factors[0], "*", factors[1])
    for _ in range(rng.choice((1, 1, 2))):
        op, amount = step_from(rng, story.values[total], limit=90)
        (moved,) = story.say(gain if op == "+" else loss, amount, **words)
        total = story.work(total, op, moved)


def _groups(rng: random.Random) -> Problem:
    people = tuple(rng.sample(NAMES, 3))
    one, many = rng.choice(CONTAINERS)
    thing = rng.choice(THINGS)
    story = _Story()
    factors = story.say("There are {} {many}.", rng.randint(2, 9), many=many)
    factors += story.say("Each {one} holds {} {thing}.", rng.randint(2, 9), one=one, thing=thing)
    _change_product(
        rng, story, factors, "{} {thing} are added.", "{} {thing} are lost.", thing=thing
    )
    return story.finish("D", f"How many {thing} are there now?", people)


def _rates(rng: random.Random) -> Problem:
    people = tuple(rng.sample(NAMES, 3))
    who = people[0]
    story = _Story()
    factors = story.say("{who} reads {} pages every day.", rng.randint(2, 9), who=who)
    factors += story.say("{who} reads for {} days.", rng.randint(2, 9), who=who)
    _change_product(
        rng, story, factors, "{who} then reads {} more pages.", "But {who} skips {} pages.", who=who
    )
    return story.finish("E", f"How many pages does {who} read?", people)


def make_problem(rng: random.Random, family: str) -> Problem:
    """Draw one problem of a family from ``rng``."""
    makers: dict[str, Callable[[random.Random], Problem]] = {
        "A": lambda r: _chain(r, "A", r.choice((2, 3))),
        "B": _comparison,
        "C": _shopping,
        "D": _groups,
        "E": _rates,
        "F": lambda r: _chain(r, "F", 4),
    }
    return makers[family](rng)


def run_program(program: tuple[str, ...], numbers: tuple[int, ...]) -> list[int]:
    """Return the result of every step of ``program`` on ``numbers``."""
    values = {f"n{i}": n for i, n in enumerate(numbers)}
    results: list[int] = []
    for step in program:
        op = next(o for o in OPERATIONS if o in step)
        a, b = (int(x) if x.isdigit() else values[x] for x in step.split(op))
        results.append(OPERATIONS[op](a, b))
        values[f"s{len(results) - 1}"] = results[-1]
    return results
