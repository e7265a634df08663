"""Side tasks of the embedded family: sums, truth values, lists and facts.

They fill the target's instruction data, so that it is a general little assistant rather than
a solver of word problems, and they show what a merge does to skills the donors never trained.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from dataclasses import dataclass

from .problems import step_from, words

WORDS = words("red dog cup sun map key hat box fish tree star moon rain leaf bell ring")
ATTRIBUTES = {
    "color": words("red blue green gold black white pink gray"),
    "home": words("cave lake forest desert river hill swamp beach"),
}
BEASTS = tuple(
    first + second
    for first in words("zo mi ra ke lu ta vo ne")
    for second in words("rin dak lop mur fen gat")
)
# Half of the beasts: every fact must return often enough for a model of this size.
_world = random.Random(20250901)
FACTS = {
    (beast, attribute): _world.choice(values)
    for beast in sorted(_world.sample(BEASTS, 24))
    for attribute, values in ATTRIBUTES.items()
}
COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


@dataclass(frozen=True)
class SideTask:
    """One question with its answer; ``steps`` are worked lines and may be empty."""

    kind: str
    text: str
    steps: tuple[str, ...]
    answer: str

    @property
    def key(self) -> str:
        return self.text


def sums(rng: random.Random) -> SideTask:
    value = rng.randint(2, 50)
    expression, steps = str(value), []
    for _ in range(rng.choice((1, 2, 3))):
        op, amount = step_from(rng, value)
        result = value + amount if op == "+" else value - amount
        expression += f"{op}{amount}"
        steps.append(f"{value}{op}{amount}={result}")
        value = result
    return SideTask("sums", f"What is {expression}?", tuple(steps), str(value))


def _comparison(rng: random.Random) -> tuple[str, bool]:
    a = rng.randint(1, 20)
    b = a if rng.random() < 0.2 else rng.randint(1, 20)
    sign = rng.choice(tuple(COMPARISONS))
    return f"{a} {sign} {b}", COMPARISONS[sign](a, b)


def truth(rng: random.Random) -> SideTask:
    """Two comparisons joined: some 10^6 questions, so a test item is one never seen."""
    left, a = _comparison(rng)
    right, b = _comparison(rng)
    if rng.random() < 0.3:
        right, b = f"not {right}", not b
    joint = rng.choice(("and", "or"))
    value = (a and b) if joint == "and" else (a or b)
    return SideTask("truth", f"True or False: {left} {joint} {right}", (), str(value))


def lists(rng: random.Random) -> SideTask:
    chosen = rng.sample(WORDS, rng.randint(3, 4))
    order = rng.choice(("Reverse", "First", "Last"))
    answer = {"Reverse": " ".join(chosen[::-1]), "First": chosen[0], "Last": chosen[-1]}[order]
    return SideTask("lists", f"{order}: {' '.join(chosen)}", (), answer)


def facts(rng: random.Random) -> SideTask:
    """A question about a beast. Held-out questions ask for facts that text only *states*."""
    beast, attribute = rng.choice(sorted(FACTS))
    return SideTask(
        "facts", f"What is the {attribute} of the {beast}?", (), FACTS[beast, attribute]
    )


SIDE_TASKS: dict[str, Callable[[random.Random], SideTask]] = {
    "sums": sums,
    "truth": truth,
    "lists": lists,
    "facts": facts,
}


def fact_sentence(rng: random.Random) -> str:
    beast, attribute = rng.choice(sorted(FACTS))
    if rng.random() < 0.6:
        return f"The {attribute} of the {beast} is {FACTS[beast, attribute]}."
    told = rng.sample(sorted(ATTRIBUTES), 2)
    return f"The {beast}: " + ", ".join(f"{a} {FACTS[beast, a]}" for a in told) + "."


def equations(rng: random.Random, lines: int = 8) -> str:
    """Plain arithmetic for the base model, one equation a line."""
    written = []
    for _ in range(lines):
        kind = rng.random()
        if kind < 0.35:
            a, b = rng.randint(2, 9), rng.randint(2, 9)
            written.append(f"{a}*{b}={a * b}")
            continue
        a = rng.randint(2, 60)
        if kind < 0.75:
            op, b = step_from(rng, a)
        elif kind < 0.9:
            op, b = "+", rng.randint(2, min(40, 99 - a))
        else:
            op, b = "-", rng.randint(1, a - 1)
        written.append(f"{a}{op}{b}={a + b if op == '+' else a - b}")
    return "\n".join(written)
