"""Completions as chat models give them, and what is no solution in any form."""

import os

import pytest

from rvec_merge.answer.code import find_program
from rvec_merge.sandbox.run import run_program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX process limits")

PROMPT = 'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """Sum."""\n'
WHOLE = (
    "def total(xs: List[int]) -> int:\n    s = 0\n    for x in xs:\n        s += x\n    return s\n"
)
BODY = WHOLE.partition("\n")[2]
TESTS = "assert total([1, 2]) == 3\nassert total([]) == 0"
FENCED = f"```python\n{WHOLE}```"


@pytest.mark.parametrize(
    "text",
    [
        BODY, f"{BODY}```\nThis sums.", f"{BODY}\n\nThis works because it sums.", BODY.strip(),
        f"\n{BODY}", FENCED, f"{FENCED}\nIt works.", f"```\n{WHOLE}```",
        f"Here is the code:\n\n{FENCED}\nDone.", f"Sure!\n\n{WHOLE}\nThat is it.", WHOLE,
        PROMPT + BODY, f"```python\n{PROMPT}{BODY}```", f"<think>do it</think>\n{FENCED}",
        f"<think>def total(xs): return 0</think>\n{BODY}", f"do it\n</think>\n\n{WHOLE}",
        f"{BODY}```\n\nExample:\n```python\nprint(total([1]))\n```",
        f"{FENCED}\nUsage:\n```python\ntotal([1])\n```", f"```python\n{WHOLE}",
        f"```python\ndef total(xs):\n    return 0\n```\nThat is wrong:\n{FENCED}",
        f"~~~python\n{WHOLE}~~~", f"```py\n{WHOLE}```", f"def helper(x):\n    return x\n\n{WHOLE}",
        f"{BODY}\nif __name__ == '__main__':\n    print(total([1]))\n", "return sum(xs)",
        f"    pass\n```\nActually:\n{FENCED}",
    ],
)  # fmt: skip
def test_a_solution_counts_in_every_form(text: str) -> None:
    program = find_program(PROMPT, text, "total")
    assert program is not None
    assert run_program(program, TESTS).passed


@pytest.mark.parametrize(
    "text",
    ["", "No idea", "```python\nprint(1)\n```", "    return 0", f"<think>{WHOLE}",
     "```python\ndef other(): pass\n```"],
)  # fmt: skip
def test_what_is_no_solution_does_not(text: str) -> None:
    program = find_program(PROMPT, text, "total")
    assert program is None or not run_program(program, TESTS).passed
