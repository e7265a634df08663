"""Chains of arithmetic, 1 to 20 steps: no words to know, nothing that a model can have read.

Source: generated arithmetic as the clean contrast to public sets (arXiv:2507.10532).
"""

import random
from typing import Any

import datasets

from rvec_merge.tasks.generated import draw

SIZES = {"train": 40, "validation": 200, "test": 600}
SEED = 20261126
LONGEST = 20
HIGHEST = 99


def make(rng: random.Random) -> dict[str, Any]:
    """Start from a number and change it step by step; every value stays from 1 to 99."""
    length = rng.randint(1, LONGEST)
    value = rng.randint(2, 20)
    lines, steps, key = [f"Start with {value}."], [], [str(value)]
    for _ in range(length):
        text, written, value = _step(rng, value)
        lines.append(text)
        steps.append(written)
        key.append(written)
    return {
        "key": ";".join(key),
        "kind": f"{length} steps" if length > 1 else "1 step",
        "question": " ".join([*lines, "What is the result?"]),
        "answer": str(value),
        "steps": length,
        "solution": "\n".join([*steps, f"The answer is {value}."]),
    }


def _step(rng: random.Random, value: int) -> tuple[str, str, int]:
    """An instruction, the line that carries it out, and the value after it."""
    factors = [n for n in (2, 3, 4, 5) if value * n <= HIGHEST]
    divisors = [n for n in (2, 3, 4, 5) if value % n == 0 and value > n]
    kinds = ["add"] * (value < HIGHEST) + ["subtract"] * (value > 1)
    kind = rng.choice([*kinds, *["multiply"] * bool(factors), *["divide"] * bool(divisors)])
    if kind == "add":
        n = rng.randint(1, min(20, HIGHEST - value))
        return f"Add {n}.", f"{value} + {n} = {value + n}", value + n
    if kind == "subtract":
        n = rng.randint(1, min(20, value - 1))
        return f"Subtract {n}.", f"{value} - {n} = {value - n}", value - n
    if kind == "multiply":
        n = rng.choice(factors)
        return f"Multiply by {n}.", f"{value} * {n} = {value * n}", value * n
    n = rng.choice(divisors)
    return f"Divide by {n}.", f"{value} / {n} = {value // n}", value // n


def load(seed: int = SEED, **_: Any) -> datasets.DatasetDict:
    """The three splits, for a task file's ``custom_dataset``."""
    return draw.dataset(make, seed, SIZES)
