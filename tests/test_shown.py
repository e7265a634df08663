"""Text of strangers shows what it is, and acts on no terminal."""

import json

import pytest

from rvec_merge.shown import shown, size_text


@pytest.mark.parametrize("text", ["\x1b[2J", "a\u202eb", "\u200b", "\r", "\x07", "\u2028"])
def test_what_would_act_is_spelled_out(text: str) -> None:
    assert shown(text).isprintable()
    assert json.loads(f'"{shown(text)}"') == text


def test_lines_and_letters_of_all_languages_stay() -> None:
    assert shown("Größe\n日本\nпривет") == "Größe\n日本\nпривет"


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (15_300_000, "15.3 MB"), (3.09e9, "3.09 GB")],
)
def test_a_size_never_rounds_to_nothing(count: int, said: str) -> None:
    assert size_text(count) == said
