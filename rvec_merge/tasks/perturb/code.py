"""The prose of a function's docstring, in a prompt that stays valid code."""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

from rvec_merge.tasks.perturb.spec import Refusal

# Where the prose of a docstring ends and its examples begin.
_EXAMPLES = re.compile(
    r">>>|^\s*(?:for example|examples?|e\.g\.|note|constraints?|input|output)\b.*|"
    r"^.*(?:==|=>|->|➞|\breturns? \[|\w\().*$",
    re.I | re.M,
)


@dataclass(frozen=True)
class Docstring:
    """Where the prose of a prompt's docstring lies, and the names that it must not change."""

    start: int
    end: int
    names: frozenset[str]


def find_prose(prompt: str, entry_point: str) -> Docstring | Refusal:
    """Find the docstring of ``entry_point``; its prose ends before the first example."""
    try:
        tree = ast.parse(prompt)
    except (SyntaxError, ValueError):
        return Refusal("the prompt does not parse")
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    wanted = [f for f in functions if f.name == entry_point]
    if not wanted or ast.get_docstring(wanted[-1]) is None:
        return Refusal("the function has no docstring")
    literal = wanted[-1].body[0].value  # type: ignore[attr-defined]
    lines = [len(line) for line in prompt.splitlines(keepends=True)]
    source = prompt.encode()
    # ast counts columns in UTF-8 bytes; only the first and last line's columns matter.
    byte_lines = source.splitlines(keepends=True)
    start = sum(lines[: literal.lineno - 1]) + len(
        byte_lines[literal.lineno - 1][: literal.col_offset].decode()
    )
    end = sum(lines[: literal.end_lineno - 1]) + len(
        byte_lines[literal.end_lineno - 1][: literal.end_col_offset].decode()
    )
    quote = re.match(r"[rRuU]?(\"\"\"|'''|\"|')", prompt[start:end])
    if quote is None or "\\" in prompt[start:end]:
        return Refusal("the docstring holds escapes")
    start, end = start + quote.end(), end - len(quote.group(1))
    body = prompt[start:end]
    examples = _EXAMPLES.search(body)
    prose = body[: examples.start()] if examples else body
    start += len(prose) - len(prose.lstrip())
    names = {f.name for f in functions}
    names |= {a.arg for f in functions for a in f.args.args}
    plain = {part.lower() for name in names for part in re.findall(r"[A-Za-z]+", name)}
    return Docstring(start, start + len(prose.strip()), frozenset(plain))


def reword(
    prompt: str, entry_point: str, change: Callable[[str, frozenset[str]], str | Refusal]
) -> str | Refusal:
    """Apply ``change`` to the docstring's prose; everything that runs stays as it is.

    ``change`` gets the prose and the words of the function's and parameters' names.
    """
    found = find_prose(prompt, entry_point)
    if isinstance(found, Refusal):
        return found
    prose = prompt[found.start : found.end]
    if not prose:
        return Refusal("the docstring has no prose")
    new = change(prose, found.names)
    if isinstance(new, Refusal):
        return new
    changed = prompt[: found.start] + new + prompt[found.end :]
    if _without_docstrings(changed) != _without_docstrings(prompt):
        return Refusal("the change would reach the code")
    return changed


def _without_docstrings(source: str) -> str | None:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
