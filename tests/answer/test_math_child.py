"""The process that asks math-verify, line by line."""

import subprocess
import sys

import pytest

from rvec_merge.answer.math_child import _latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [("3 sqrt(13)", "3 \\sqrt{13}"), ("$2pi$", "2\\pi"), ("2 pi", "2 \\pi"), ("\\pi", "\\pi"),
     ("5%", "5\\%"), ("5\\%", "5\\%"), ("3 i", "3i")],
)  # fmt: skip
def test_what_people_write_without_a_backslash(text: str, latex: str) -> None:
    assert _latex(text) == latex


def test_every_line_gets_its_own_answer() -> None:
    start = "from rvec_merge.answer.math_child import main; main(20)"
    asked = '["1/2", "0.5"]\n["1/2", "2"]\n'
    done = subprocess.run(
        [sys.executable, "-c", start], input=asked, capture_output=True, text=True
    )
    assert done.stdout.split() == ["1", "0"]
