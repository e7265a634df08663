"""Numbers as people write them: ``$1,234.50``, ``70 000``, ``2 1/2``, ``\\frac{36}{2}``."""

import re
from fractions import Fraction

_SPACE = "[ \u00a0\u2009\u202f]"
_DIGITS = rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,3}}(?:{_SPACE}\d{{3}})+|\d+)(?!\d)"
_PLAIN = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)"
_SIGN = r"[-−+]"
_MONEY = r"(?:\\?[$€£¥]|Rs\.?|USD)"
_LONGEST = 100  # characters of a number
_SCALE = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_HALVES = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8"}
# One number: sign, currency, mixed or plain fraction or decimal, a word for thousands, a per cent.
NUMBER = (
    rf"(?<![\w.:/^])(?:{_SIGN}\s?)?(?:{_MONEY}\s?)?(?:{_SIGN}\s?)?"
    rf"(?:\d+\s+\d+/\d+|{_PLAIN}\s?/\s?{_PLAIN}|{_PLAIN})(?![\d^]|[.:]\d|,\d{{3}}(?!\d)|/\s?\d)"
    rf"(?:\s(?:{'|'.join(_SCALE)})s?\b)?(?:\s?\\?%)?"
)
_NUMBER = re.compile(NUMBER)
_PARTS = re.compile(
    rf"(?P<sign>{_SIGN}?)(?:(?P<whole>\d+)\s+(?P<part>\d+/\d+)|(?P<top>{_PLAIN})"
    rf"(?:\s?/\s?(?P<bottom>{_PLAIN}))?)(?:\s(?P<scale>{'|'.join(_SCALE)})s?)?"
)
# What may follow a number that is meant alone: a unit, never a second value.
_UNIT = re.compile(
    r"(?:\s?\\?%)?"
    r"(?:\s?\\(?:text|mbox|mathrm)\s?\{[^{}\d]*\})?"
    r"(?:\s?/?[A-Za-z]{2}[A-Za-z.²³/' -]*|\s[mgshLl](?=\W|$)[A-Za-z.²³/' -]*)?"
    r"(?:\^\{?[23]\}?)?\s*[.!]?\s*"
)
_JOINED = re.compile(r"\b(?:or|and|to|plus|minus|times|than|not|between|over|by)\b", re.I)
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_THIN = re.compile(r"\\[,!;: ]|\{,\}")
_ONES, _TENS = (
    names.split()
    for names in (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen",
        "twenty thirty forty fifty sixty seventy eighty ninety",
    )
)
WORDS = {word: i for i, word in enumerate(_ONES)} | {
    word: 10 * i for i, word in enumerate(_TENS, 2)
}
_WORD = re.compile(rf"({'|'.join(WORDS)})(?:[- ]({'|'.join(_ONES[1:10])}))?(?!\w)", re.I)


def plain(text: str) -> str:
    """``text`` with LaTeX's and Unicode's ways to write a number made ASCII's."""
    for sign, ascii_form in _HALVES.items():
        text = re.sub(rf"(\d){sign}", rf"\1 {ascii_form}", text).replace(sign, ascii_form)
    text = re.sub(r"(\d)\\frac", r"\1 \\frac", text)
    text = _FRACTION.sub(lambda m: f"{m[1] or m[2]}/{m[3] or m[4]}", text)
    text = re.sub(r"\^?\{?\\circ\}?|°", " ", text)
    text = re.sub(r"\b(\d{1,2}):00\b", r"\1", text)  # o'clock
    text = re.sub(r"(?<=\d)\\[,!;]\s?(?=\d{3})|(?<=\d)\{,\}(?=\d{3})|(?<=\d,)\\!\s?", "", text)
    return re.sub(r"(?<=\d),\s(?=000\b|\s?\d{3}\\)", ",", _THIN.sub(" ", text))


def numbers(text: str) -> list[re.Match[str]]:
    """Every number in ``text``; a time or a ratio (5:30), a date and an exponent are none."""
    return list(_NUMBER.finditer(text))


def value(text: str) -> Fraction | None:
    """What ``text`` is worth if all of it is one number, with or without currency, unit or ``%``.

    A per cent sign counts for nothing: 18% is the answer to "what per cent", and is 18.
    """
    text = plain(text).strip()
    if text.startswith("$") and text.endswith("$"):
        text = text[1:-1].strip()
    found = _NUMBER.match(text)
    if found is None:
        return _spelt(text)
    rest = text[found.end() :]
    return worth(found[0]) if _UNIT.fullmatch(rest) and not _JOINED.search(rest) else None


def worth(number: str) -> Fraction | None:
    """The value of one match of ``NUMBER``; None where it divides by zero."""
    bare = re.sub(rf"{_MONEY}\s?|\s?\\?%$", "", number).replace("−", "-").strip()
    bare = re.sub(rf"^({_SIGN})\s+", r"\1", bare)
    parts = _PARTS.fullmatch(bare)
    if parts is None or len(bare) > _LONGEST:
        return None
    try:
        size = (
            int(parts["whole"]) + Fraction(parts["part"])
            if parts["whole"]
            else _decimal(parts["top"]) / _decimal(parts["bottom"] or "1")
        )
    except ZeroDivisionError:
        return None
    size *= Fraction(10) ** _SCALE.get(parts["scale"] or "", 0)
    return -size if parts["sign"] == "-" else size


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub(rf",|{_SPACE}", "", text))


def _spelt(text: str) -> Fraction | None:
    found = _WORD.match(text)
    if found is None or not _UNIT.fullmatch(text[found.end() :]) or _JOINED.search(text):
        return None
    tens, ones = WORDS[found[1].lower()], WORDS[(found[2] or "zero").lower()]
    if ones and tens < 20:
        return None
    return Fraction(tens + ones)
