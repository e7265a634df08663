"""Answers that are a letter or words: ``(A)``, "Option B", "**True**", "Yes, because …"."""

import re

from rvec_merge.answer.find import candidates

_LETTER = re.compile(
    r"[\W_]*(?:\\text(?:bf)?\{|(?i:(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)\s*(?:is)?)\W*)*"
    r"\(?([A-Z])(?![A-Za-z'])(?!\s+[a-z])\)?",
)
_SECOND = re.compile(r"[\W_]{0,3}(?:or|and|/|,|&)\s*\(?[A-Z](?![A-Za-z])")
_OPTION_IS = re.compile(
    r"\b(?i:option|choice)\s+\(?\**\(?([A-Z])\)?\**\)?\s+is\s+(?:the\s+)?(?:correct|right|best|true)"
)
_OPTIONS = re.compile(r"^\s*\(?([A-Z])\)\s*(.+?)\s*$", re.M)
# The words that answer one kind of question: a reply that holds one of them alone says it.
_LABELS = ({"yes", "no"}, {"true", "false"}, {"valid", "invalid"})


def find_letter(text: str, prompt: str = "") -> str | None:
    """The letter that an output chooses; an option's own text in place of its letter counts.

    "A or B" is returned as it is written: it is no choice.
    """
    named = _OPTION_IS.findall(text)
    places = [*([named[-1]] if named else []), *candidates(text)]
    options: dict[str, str] = {
        _bare(said): letter for letter, said in _OPTIONS.findall(_last_question(prompt))
    }
    for place in places:
        if found := _LETTER.match(place):
            if second := _SECOND.match(place, found.end()):
                return str(place[: second.end()].strip())
            return str(found[1])
        if letter := options.get(_bare(place.split("\n")[0])):
            return letter
    return None


def find_words(text: str, gold: str) -> str | None:
    """The words that an output gives as its answer, normalised as ``gold`` is by ``bare_words``."""
    labels = next((known for known in _LABELS if gold.casefold() in known), None)
    for place in candidates(text):
        line = next((part for part in place.split("\n") if part.strip(" *_`")), "")
        words = bare_words(line)
        if not words:
            continue
        if labels is None:
            return words
        said = [word for word in re.findall(r"[a-z]+", words) if word in labels]
        if len(set(said)) == 1 or (said and re.match(rf"{said[0]}\b", words)):
            return str(said[0])
    return None


def bare_words(text: str) -> str:
    """Lower case, one space between words, no commas, quotation marks, markup or full stop."""
    text = re.sub(r"\\text(?:bf)?\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\*\*|__|`|\$|\\|\"|“|”|,", " ", text).casefold()
    if re.search(r"[a-z]", text) is None:
        return "".join(text.split())  # brackets: their spaces mean nothing
    return " ".join(text.split()).strip(" .:")


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().casefold()


def _last_question(prompt: str) -> str:
    """Few-shots have options of their own."""
    return prompt[max(prompt.rfind("\nQ:"), prompt.rfind("\nQuestion:"), 0) :]
