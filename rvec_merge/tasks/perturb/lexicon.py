"""The word lists and sentences of ``lexicon.yaml``, which perturbations go by."""

from pathlib import Path
from typing import Any

import yaml

from rvec_merge.answer.numbers import WORDS

_READ: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))


def _words(name: str) -> frozenset[str]:
    return frozenset(_READ[name].split())


NUMBER_WORDS = {**WORDS, "hundred": 100, "thousand": 1000}
AMOUNTS = frozenset(NUMBER_WORDS) | _words("amounts")
ABBREVIATIONS = _words("abbreviations")
REFERS_BACK, POINTS, COMPARES = _words("refers_back"), _words("points"), _words("compares")
THINGS, ORDER = _words("things"), _words("order")
FRAGILE = _words("fragile")
IMPLIED: dict[str, set[int]] = {}
for _amount, _names in _READ["implied"].items():
    for _name in _names.split():
        IMPLIED.setdefault(_name, set()).add(_amount)
# Amounts that a solution may take from nowhere: days, months, legs, a dozen, and their like.
COMMON = frozenset(
    {2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 30, 31, 36, 52, 60, 100, 365, 1000}
)
DISTRACTORS: tuple[tuple[str, str], ...] = tuple(_READ["distractors"].items())
