"""The embedded family's items: they carry the program that computes their answer."""

import operator
import random
import re
from collections.abc import Callable
from typing import Any

from rvec_merge.tasks.perturb.numeric import ATTEMPTS, Draw
from rvec_merge.tasks.perturb.spec import Refusal

HIGHEST = 99
"""The family never wrote a larger number."""

_STEP = re.compile(r"([ns]?\d+)([-+*])([ns]?\d+)")
_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


def run(program: list[str], numbers: list[int]) -> list[tuple[str, int]]:
    """Each step of a program, written out, and its result."""
    values = {f"n{i}": value for i, value in enumerate(numbers)}
    done: list[tuple[str, int]] = []
    for step in program:
        match = _STEP.fullmatch(step)
        if match is None:
            raise ValueError(f"{step!r} is no step")
        left, op, right = match.groups()
        a, b = (values[x] if x in values else int(x) for x in (left, right))
        result = _OPERATIONS[op](a, b)
        values[f"s{len(done)}"] = result
        done.append((f"{a}{op}{b}={result}", result))
    return done


def renumber(item: dict[str, Any], rng: random.Random, draw: Draw) -> dict[str, Any] | Refusal:
    """The item with new numbers, its steps and answer computed by its own program."""
    for _ in range(ATTEMPTS):
        drawn = [draw(value, HIGHEST, rng) for value in item["numbers"]]
        numbers = [value for value in drawn if value is not None]
        if len(numbers) < len(drawn):
            break
        steps = run(item["program"], numbers)
        if all(0 < result <= HIGHEST for _, result in steps):
            return _rewrite(item, numbers, steps)
    return Refusal("no new numbers keep the steps within the family's range")


def _rewrite(
    item: dict[str, Any], numbers: list[int], steps: list[tuple[str, int]]
) -> dict[str, Any]:
    fresh = iter(numbers)
    sentences = [re.sub(r"\d+", lambda _: str(next(fresh)), text) for text in item["sentences"]]
    lines = [text for text, _ in steps]
    answer = str(steps[-1][1])
    return {
        **item,
        "question": " ".join([*sentences, item["query"]]),
        "sentences": sentences,
        "numbers": numbers,
        "steps": lines,
        "answer": answer,
        "solution": "\n".join([*lines, f"#### {answer}"]),
    }


def shuffle(item: dict[str, Any], rng: random.Random) -> dict[str, Any] | Refusal:
    """The item's sentences in another order, where the item says that order is free."""
    sentences = item["sentences"]
    if not item["shufflable"] or len(sentences) < 2:
        return Refusal("the order matters to the answer")
    order = list(sentences)
    while order == sentences:
        rng.shuffle(order)
    # The numbers and the program stay in the order of the original story.
    return {**item, "question": " ".join([*order, item["query"]]), "sentences": order}
