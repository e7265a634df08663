"""New numbers in a word problem, and the answer computed again from its worked solution."""

import random
from collections.abc import Callable
from fractions import Fraction

from rvec_merge.tasks.perturb.arithmetic import NotArithmetic, evaluate, written
from rvec_merge.tasks.perturb.chain import Chain, read_chain
from rvec_merge.tasks.perturb.spec import Refusal

ATTEMPTS = 200
FACTORS = (10, 20, 50, 100, 200, 500, 1000)

Draw = Callable[[int, random.Random], int]


def near(value: int, rng: random.Random) -> int:
    """Another integer between half and twice ``value``, at least 2."""
    low, high = max(2, (value + 1) // 2), max(4, 2 * value)
    new = value
    while new == value:
        new = rng.randint(low, high)
    return new


def far(value: int, rng: random.Random) -> int:
    """``value`` times 10 to 1000."""
    return value * rng.choice(FACTORS)


def renumber(
    question: str, answer: str, rng: random.Random, draw: Draw
) -> tuple[str, str] | Refusal:
    """New question and answer. Every free number changes; equal numbers change alike.

    The new chain must keep what the old one had: each step's sign, and integers where there
    were integers; numbers are drawn again until it does, at most ``ATTEMPTS`` times.
    """
    chain = read_chain(question, answer)
    if isinstance(chain, Refusal):
        return chain
    old = sorted({place.value for place in chain.places if place.free})
    if not old:
        return Refusal("no number may change")
    for _ in range(ATTEMPTS):
        new = {value: Fraction(draw(int(value), rng)) for value in old}
        lines = _follow(chain, new)
        if lines is not None:
            return _write(chain, new), "\n".join(lines)
    return Refusal("no new numbers keep the steps whole and positive")


def _follow(chain: Chain, new: dict[Fraction, Fraction]) -> list[str] | None:
    """The new worked solution, or None where a step loses its sign or wholeness."""
    value_of = dict(new)
    lines, result = [], Fraction(0)
    for expression, was in chain.steps:
        try:
            result, text = evaluate(expression, lambda value: value_of.get(value, value))
            if (result > 0) != (was > 0) or (was.denominator == 1) != (result.denominator == 1):
                return None
            lines.append(f"{text} = <<{text}={written(result)}>>{written(result)}")
        except NotArithmetic:
            return None
        value_of[was] = result
    return [*lines, f"#### {written(result)}"]


def _write(chain: Chain, new: dict[Fraction, Fraction]) -> str:
    text = chain.question
    for place in reversed(chain.places):
        if place.free:
            text = text[: place.start] + written(new[place.value]) + text[place.end :]
    return text
