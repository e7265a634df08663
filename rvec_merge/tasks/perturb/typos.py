"""Typing errors in words: two letters swapped, one dropped, or a neighbour key hit."""

import random
import re

from rvec_merge.tasks.perturb.lexicon import AMOUNTS
from rvec_merge.tasks.perturb.sentences import words
from rvec_merge.tasks.perturb.spec import Refusal

RATE = 0.15
"""Chance of a typing error per word that may have one; every changed item has at least one."""
SHORTEST = 5

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# A word is left alone where letters are more than prose: identifiers, contractions, macros.
_PLAIN_WORD = re.compile(rf"(?<![\w'’\\@#./-])[a-z]{{{SHORTEST},}}(?![\w'’(=@/])(?!-\w)(?!\.\w)")
_QUOTED = re.compile(r"`[^`]*`|\"[^\"\n]*\"|(?<!\w)'[^'\n]*'(?!\w)")
_FORMULA = re.compile(
    r"\$\$.*?\$\$|\$[^$]*\$|\\\[.*?\\\]|\\\(.*?\\\)|\[asy\].*?\[/asy\]|\\\w+(\{[^}]*\})*", re.S
)


def _neighbours() -> dict[str, str]:
    near: dict[str, str] = {}
    for row, keys in enumerate(_KEYS):
        for column, key in enumerate(keys):
            around = keys[max(0, column - 1) : column] + keys[column + 1 : column + 2]
            if row:
                around += _KEYS[row - 1][column : column + 2]
            if row + 1 < len(_KEYS):
                around += _KEYS[row + 1][max(0, column - 1) : column + 1]
            near[key] = around
    return near


_NEAR = _neighbours()


def misspell(word: str, rng: random.Random) -> str:
    """Make one typing error inside a word; its first and last letters stay."""
    at = rng.randrange(1, len(word) - 1)
    kind = rng.choice(("swap", "drop", "neighbour"))
    if kind == "swap" and at < len(word) - 2 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "drop":
        return word[:at] + word[at + 1 :]
    return word[:at] + rng.choice(_NEAR[word[at]]) + word[at + 1 :]


def typos(
    text: str, rng: random.Random, *, protected: frozenset[str] = frozenset(), math: bool = False
) -> str | Refusal:
    """Misspell a share ``RATE`` of the plain lower-case words of five letters or more.

    Never touched: digits, number words, names (anything capitalised), quoted text, identifiers,
    formulas (with ``math``), and the words in ``protected``. No error makes a word that the item
    or ``protected`` holds already.
    """
    closed = [m.span() for m in _QUOTED.finditer(text)]
    if math:
        closed += [m.span() for m in _FORMULA.finditer(text)]
    known = words(text) | protected
    places = [
        match
        for match in _PLAIN_WORD.finditer(text)
        if match.group() not in protected
        and match.group() not in AMOUNTS
        and not any(start <= match.start() < end for start, end in closed)
    ]
    if not places:
        return Refusal("no word may be misspelt")
    chosen = [place for place in places if rng.random() < RATE] or [rng.choice(places)]
    parts, at = [], 0
    for place in chosen:
        wrong = misspell(place.group(), rng)
        while wrong in known:
            wrong = misspell(place.group(), rng)
        parts += [text[at : place.start()], wrong]
        at = place.end()
    return "".join([*parts, text[at:]])
