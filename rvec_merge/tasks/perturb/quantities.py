"""How large a number of a question may become, and how it is written there."""

import re
from fractions import Fraction

# Per what a quantity is told, the most there can be of it.
_WITHIN: tuple[tuple[str, str, int], ...] = (
    (r"seconds?", r"minute", 60),
    (r"minutes?", r"hour", 60),
    (r"minutes?", r"day|night|morning|evening|afternoon", 600),
    (r"hours?|hrs?", r"day|night|morning|evening|afternoon|today|yesterday|tonight|tomorrow", 16),
    (r"hours?|hrs?", r"week", 100),
    (r"days?|nights?|mornings?|evenings?|afternoons?|times", r"week", 7),
    (r"days?|nights?", r"month", 28),
    (r"days?|nights?", r"year", 360),
    (r"weeks?", r"month", 4),
    (r"weeks?", r"year|annual|annually", 52),
    (r"months?", r"year|annual|annually", 12),
)
# Nothing is told of the time they are in: no more than this of them is likely in a word problem.
_ALONE: tuple[tuple[str, int], ...] = (
    (r"seconds?", 3600),
    (r"minutes?|mins?", 900),
    (r"hours?|hrs?", 240),
    (r"days?|nights?", 730),
    (r"weeks?", 260),
    (r"months?", 120),
    (r"years?", 120),
    (r"mph|(?:miles?|kilometers?|km)\s+(?:per|an|each|every)\s+hour|miles/hour", 800),
    (r"degrees?", 120),
    (r"feet tall|foot tall|inches tall|ft tall", 200),
    (r"kg|kilos?|kilograms?|pounds?|lbs?", 1000),
    (r"siblings|brothers|sisters|sons|daughters", 12),
    (r"people|passengers|students|kids|children", 5000),
    (r"stories|storeys|floors", 120),
)
_AGES = re.compile(r"\b(age|ages|aged|years? old|year-old|older|younger|was born)\b", re.I)
OLDEST = 110
# What the world fixes: a time of day, a kind of money, how long a month is.
_FIXED = re.compile(
    r"\s*(a\.?m\.?|p\.?m\.?|o'clock)"
    r"|[\s-]*(dollar |cent |pound |euro )?(bills?|notes?|coins?)\b"
    r"|\s+(days?|weeks?|months?|hours?|minutes?|seconds?) (in|make|to) (a|an|the|one)\b",
    re.I,
)
_SENTENCE = re.compile(r"[.!?]\s")
_FREE = 10**9


def most(question: str, start: int, end: int) -> int:
    """The most that the number at ``start`` to ``end`` may become, so that the world stays one.

    No week has 8 days, no day 30 hours, nobody is 4,600 years old.
    """
    after = question[end : end + 40]
    unit = re.sub(r"^[\s-]*(?:more |full |whole |straight |extra |additional )?", "", after).lower()
    if _FIXED.match(after):
        return 0
    bound = OLDEST if _AGES.search(question) else _FREE
    for pattern, limit in _ALONE:
        if re.match(rf"(?:{pattern})\b", unit):
            bound = min(bound, limit)
    here = _sentence(question, start)
    for pattern, container, limit in _WITHIN:
        if re.match(rf"(?:{pattern})\b", unit) and re.search(
            rf"\b(?:{container})", _rest(here, unit)
        ):
            bound = min(bound, limit)
    return bound


def _sentence(question: str, start: int) -> str:
    begin = max((m.end() for m in _SENTENCE.finditer(question, 0, start)), default=0)
    stop = _SENTENCE.search(question, start)
    return question[begin : stop.start() if stop else len(question)].lower()


def _rest(sentence: str, unit: str) -> str:
    """The sentence without the word right after the number: "7 days" is no reason by itself."""
    word = re.match(r"[a-z]+", unit)
    return sentence.replace(word.group(), "", 1) if word else sentence


def grain(value: int) -> int:
    """What ``value`` is a multiple of, so that a round number stays round: 1000 for 150,000."""
    step = 1
    while value % (step * 10) == 0 and value // (step * 10) >= 10:
        step *= 10
    return step


def like(token: str, value: Fraction, plain: str) -> str:
    """``value`` in the form of the number it replaces: ``$3.00`` has cents, ``1,200`` a comma.

    Args:
        plain: the value as it is written without a form.
    """
    if value.denominator != 1:
        return plain
    whole, dot, decimals = token.partition(".")
    commas = "," in whole or (value >= 10_000 and len(whole) < 5)
    return (f"{int(value):,}" if commas else f"{int(value)}") + (dot and f".{'0' * len(decimals)}")
