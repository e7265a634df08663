"""Finding the final answer in an output.

After the thinking: the last ``\\boxed{}``; else ``#### N``; else what follows "the answer is" or
"Answer:"; else what is printed bold near the end; else, for numbers, the last one. The last of
several of one kind counts, since models correct themselves.
"""

import re
from typing import Literal

from rvec_merge.answer.numbers import NUMBER, numbers, plain, value

Kind = Literal["number", "math", "choice", "words"]

LONGEST = 500  # characters of an answer; what is longer is none
_OPEN = re.compile(r"<think(?:ing)?>|<thought>|\[THINK\]|<\|begin_of_thought\|>", re.I)
_CLOSE = re.compile(r"</think(?:ing)?>|</thought>|\[/THINK\]|<\|end_of_thought\|>", re.I)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_HASHES = re.compile(
    r"####[ \t]*(?:\**(?:final\s+)?answer\**\s*[:=]?\**\s*)?(?=\S)"
    r"(?!\d+[.)]\s+[A-Za-z])([^\n]+)",
    re.I,
)
# "the answer is", "Answer:", "the answer to the question is", a heading "Final Answer".
_ANSWER = re.compile(
    r"\banswer[*_`]*(?:[ \t]+(?:to|for|of|here|in|that|we|choice|option)\b[^\n.:?!]{0,80}?)?[*_`]*"
    r"(?:\s*(?:\b(?:is|are|was|would be|will be|should be|must be)\b|=|：|:)+|[ \t]*\n)[\s*_:>]*"
    r"|答案(?:是|为|：|:)+\s*",
    re.I,
)
_DENIED = re.compile(
    r"\banswer(?:\s+\w+){0,3}?\s+(?:is\s+not|isn't|cannot be|can't be)\b[^.\n]*", re.I
)
_NO_ANSWER = re.compile(r"as follows|below|given by|the (?:same|sum|product)\b", re.I)
_BOLD = re.compile(r"\*\*(?!\s)([^*\n]{1,80}?)\*\*|\\textbf\{([^{}]{1,80})\}")
_LABEL = re.compile(r"^(?:[A-Za-z][A-Za-z ]{0,40}(?:=|:)\s*)?(?!\d+[.)]\s+[A-Za-z])")
_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<!\\)\$(?![\s\d,.]+\s[a-z]{3})([^$\n]+?)(?<!\\)\$",
    re.S,
)
_SENTENCE = re.compile(r"(?<!\\)[.!?](?=\s|$)|\n")
_REASON = re.compile(r",?\s\(?(?:because|since|as|which|where|if|given)\b", re.I)
# A second value after the first: no single answer was given.
_SECOND = re.compile(
    rf"(?:\s|\b[a-z]+\b){{0,3}}(?:,|;|\bor\b|\band\b|\bto\b|[-–—])\s?(?:{NUMBER})", re.I
)


def after_thinking(text: str) -> tuple[str, bool]:
    """What an output says once its thinking has ended, and whether thinking never ended."""
    closes = list(_CLOSE.finditer(text))
    said = text[closes[-1].end() :] if closes else text
    if opened := _OPEN.search(said):
        return said[: opened.start()], True
    return said, False


def after(text: str, end: str) -> tuple[str, bool]:
    """As ``after_thinking``, where what ends the thinking is known: without it nothing is said."""
    _, ended, said = text.rpartition(end)
    return (said.lstrip(), False) if ended else ("", True)


def find_answer(text: str, kind: Kind) -> str | None:
    """The final answer of an output of kind ``number`` or ``math``, as it is written there.

    Where two values are given for one ("18 or 20"), both are returned: they equal neither.
    """
    said, _ = after_thinking(text)
    said = _DENIED.sub("", said)
    for candidates in (_boxed(said), _HASHES.findall(said), _phrases(said)):
        for phrase in reversed(candidates):
            if (found := _in_phrase(phrase, kind)) is not None:
                return found
    return _bold(said) or _last(said, kind)


def candidates(text: str) -> list[str]:
    """Where an answer in words or a letter may stand, the likeliest first."""
    said, _ = after_thinking(text)
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    bold = [m[1] or m[2] for m in _BOLD.finditer(said)]
    found = [*reversed(_boxed(said)), *reversed(_HASHES.findall(said)), *reversed(_phrases(said))]
    return [*found, *bold[-1:], *lines[-1:]]


def _boxed(text: str) -> list[str]:
    found = []
    for match in _BOXED.finditer(text):
        depth, end = 1, match.end()
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0) if text[end - 1] != "\\" else 0
            end += 1
        if not depth and (inner := text[match.end() : end - 1].strip()):
            found.append(inner)
    return found


def _phrases(text: str) -> list[str]:
    found = []
    for match in _ANSWER.finditer(text):
        phrase = text[match.end() : match.end() + LONGEST]
        if not _NO_ANSWER.match(phrase):
            found.append(phrase)
    return found


def _in_phrase(phrase: str, kind: Kind) -> str | None:
    """The answer at the start of a phrase that promises one; None if it holds none."""
    formula = _FORMULA.match(phrase.lstrip("*_ \n"))
    sentence = _first_sentence(phrase)
    if kind == "math":
        whole = next(filter(None, formula.groups()), "") if formula else sentence
        return _clean(whole) or None
    bare = plain(_clean(_REASON.split(sentence)[0]))
    if value(bare) is not None:
        return bare
    # "9 * 2 = 18", or "18 = 9 * 2".
    for side in (bare.rpartition("=")[2], bare.partition("=")[0]) if "=" in bare else ():
        if value(side) is not None:
            return side.strip()
    told = bare.rpartition("=")[2]
    found = numbers(told)
    if not found:
        return _clean(sentence) or None
    first = found[0]
    if told[: first.start()].rstrip().endswith(("\\frac", "{", "^", "(", "sqrt", "±", "\\pm")):
        return told.strip()
    if _SECOND.match(told, first.end()) or re.search(r"\bbetween\b", told[: first.start()], re.I):
        return told.strip()
    rest = told[first.end() :].lstrip()
    return told.strip() if rest[:1] in tuple("+*/×·÷^\\") else first[0]


def _first_sentence(phrase: str) -> str:
    phrase = phrase.lstrip(" *_\n\t>`")
    end = _SENTENCE.search(phrase)
    return phrase[: end.start()] if end else phrase


def _clean(text: str) -> str:
    text = re.sub(r"\\[()\[\]]|\*\*|__|`", " ", text).strip()
    inside = re.fullmatch(r"\$+([^$]+)\$+(.*)", text, re.S)
    return (inside[1] + inside[2] if inside else text).strip(" \n\t:;")


def _bold(text: str) -> str | None:
    """The last bold value, unless a calculation goes on after it."""
    for match in reversed(list(_BOLD.finditer(text))):
        inner = _LABEL.sub("", match[1] or match[2])
        if value(inner) is not None:
            return None if re.search(rf"=\s*(?:{NUMBER})", text[match.end() :]) else inner
    return None


def _last(text: str, kind: Kind) -> str | None:
    bare = plain(text)
    found = numbers(bare)
    if kind == "math":
        formulas = list(_FORMULA.finditer(text))
        if formulas:
            return _clean(next(filter(None, formulas[-1].groups()), "")) or None
    if not found:
        return None
    before = bare[: found[-1].start()]
    # "from 18 to 20", "18-20": a range at the very end is no number.
    if re.search(rf"(?:{NUMBER})\s?(?:or|to|[-–—])\s?$", before):
        return bare[max(0, len(before) - 20) : found[-1].end()]
    return found[-1][0]
