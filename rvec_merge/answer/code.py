"""The program that a completion means, as chat models write it.

One program is chosen, from its text alone and before any test has run: the last fenced block that
defines the function; else a definition without a fence; else the prompt continued, up to where it
stops being Python. The prompt's imports and helpers stand before a definition of its own.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator

from rvec_merge.answer.find import after_thinking

_FENCE = re.compile(r"^[ \t]*(```|~~~)[ \t]*([\w+-]*)[ \t]*.*$", re.M)
_BEGINS = re.compile(r"^(?:from|import|def|class|async def|@)\b", re.M)


def find_program(prompt: str, text: str, entry: str) -> str | None:
    """The program to run; None where nothing is written but prose.

    Args:
        prompt: the item's own: imports, perhaps helpers, and the function's head.
        text: what was generated after it.
        entry: the function's name.
    """
    said, unfinished = after_thinking(text)
    if unfinished and not said.strip():
        return None
    head = re.search(rf"^def {re.escape(entry)}\b", prompt, re.M)
    before = prompt[: head.start()] if head else ""
    for block in reversed(list(_blocks(said))):
        whole = _longest(block)
        if _defines(whole, entry):
            return f"{before}\n{whole}"
    if begins := [m.start() for m in _BEGINS.finditer(said)]:
        bare = _FENCE.split(said[begins[0] :])[0]
        whole = _longest(bare)
        if _defines(whole, entry):
            return f"{before}\n{whole}"
    return _continued(prompt, _FENCE.split(said)[0])


def _blocks(text: str) -> Iterator[str]:
    """Fenced blocks. A fence with a language opens one even where the prompt has left one open."""
    start: int | None = None
    for fence in _FENCE.finditer(text):
        if start is not None and not fence[2]:
            yield text[start : fence.start()]
            start = None
        elif fence[2] or _closes_later(text, fence.end()):
            start = fence.end() + 1
    if start is not None:
        yield text[start:]


def _closes_later(text: str, after: int) -> bool:
    following = _FENCE.search(text, after)
    return following is not None and not following[2]


def _continued(prompt: str, body: str) -> str | None:
    """The prompt and what goes on from it; its first indentation is often lost."""
    if not body.strip():
        return None
    first = body.lstrip("\n")
    tries = [body] if first[:1].isspace() else [
        textwrap.indent(first, "    "), "    " + first, body,
    ]  # fmt: skip
    bare = len(_longest(prompt).splitlines())
    programs = [_longest(prompt.rstrip("\n") + "\n" + attempt.lstrip("\n")) for attempt in tries]
    best = max(programs, key=lambda program: len(program.splitlines()))
    return best if len(best.splitlines()) > bare else None


def _longest(text: str) -> str:
    """The longest run of lines from the start that Python compiles."""
    lines = textwrap.dedent(text).splitlines()
    for end in range(len(lines), 0, -1):
        program = "\n".join(lines[:end])
        if _compiles(program):
            return program + "\n"
    return ""


def _compiles(program: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(program, "generated", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return False
    return True


def _defines(program: str, entry: str) -> bool:
    return any(
        isinstance(node, ast.FunctionDef) and node.name == entry
        for node in (ast.parse(program).body if program else ())
    )
