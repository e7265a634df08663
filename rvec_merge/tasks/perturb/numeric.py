"""New numbers in a word problem, and the answer computed again from its worked solution."""

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from rvec_merge.tasks.perturb.chain import Chain, NotArithmetic, evaluate, read_chain, written
from rvec_merge.tasks.perturb.quantities import grain, like
from rvec_merge.tasks.perturb.spec import Refusal

ATTEMPTS = 200
FACTORS = (10, 20, 50, 100)
HIGHEST = 10_000_000

# Of a number and the most it may become, another number; None where there is no room.
Draw = Callable[[int, int, random.Random], int | None]


def near(value: int, most: int, rng: random.Random) -> int | None:
    """Another integer between half and twice ``value``, at least 2; as round as it was."""
    step = grain(value)
    mantissa = value // step
    low, high = max(2, (mantissa + 1) // 2), min(max(4, 2 * mantissa), most // step)
    choices = [n for n in range(low, high + 1) if n != mantissa]
    return rng.choice(choices) * step if choices else None


def far(value: int, most: int, rng: random.Random) -> int | None:
    """``value`` times 10 to 100."""
    choices = [factor for factor in FACTORS if value * factor <= most]
    return value * rng.choice(choices) if choices else None


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
    old: dict[Fraction, int] = {}
    for place in chain.places:
        if place.free:
            old[place.value] = min(place.most, old.get(place.value, place.most))
    if not old:
        return Refusal("no number may change")
    for _ in range(ATTEMPTS):
        drawn = {value: draw(int(value), old[value], rng) for value in sorted(old)}
        new = {value: Fraction(to) for value, to in drawn.items() if to is not None}
        if len(new) < len(old):
            return Refusal("a unit leaves a number no room")
        lines = _follow(chain, new)
        if lines is not None:
            return _write(chain, new), "\n".join(lines)
    return Refusal("no new numbers keep the steps whole and positive")


def _follow(chain: Chain, new: dict[Fraction, Fraction]) -> list[str] | None:
    """The new worked solution; None where a step loses its sign, its wholeness or its rank.

    What was less than something else is less still: no more women stay than came.
    """
    value_of = dict(new)
    ranked: dict[Fraction, Fraction] = {}

    def substitute(old: Fraction) -> Fraction:
        return ranked.setdefault(old, value_of.get(old, old))

    lines, result = [], Fraction(0)
    for expression, was in chain.steps:
        try:
            result, text = evaluate(expression, substitute)
            lines.append(f"{text} = <<{text}={written(result)}>>{written(result)}")
        except NotArithmetic:
            return None
        if (result > 0) != (was > 0) or (was.denominator == 1) != (result.denominator == 1):
            return None
        value_of[was] = ranked[was] = result
    now = [to for _, to in sorted(ranked.items())]
    rising = all(low < high for low, high in pairwise(now))
    return [*lines, f"#### {written(result)}"] if rising and now[-1] <= HIGHEST else None


def _write(chain: Chain, new: dict[Fraction, Fraction]) -> str:
    text = chain.question
    for place in reversed(chain.places):
        if place.free:
            token, value = text[place.start : place.end], new[place.value]
            text = text[: place.start] + like(token, value, written(value)) + text[place.end :]
    return text
