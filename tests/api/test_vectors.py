"""Extracting and inspecting as Python functions."""

from pathlib import Path

import pytest

import rvec_merge as rv
from rvec_merge.declare import Misuse


def test_a_recipes_vector_is_written_and_looked_at(tmp_path: Path) -> None:
    written = rv.extract("tiny", tmp_path / "v")
    assert (written.format, written.out) == ("compact", tmp_path / "v")
    found = rv.inspect(tmp_path / "v", "tiny")
    assert found.total.measured.norm == pytest.approx(written.facts["norm"])
    assert found.total.cosines[0][1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"grpo": "a"}, "both donors"),
        ({"rank": 3}, "--format lora"),
        ({"stream": True, "format": "dense"}, "--stream reads donors"),
    ],
)
def test_options_that_do_not_go_together(options: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=said):
        rv.extract("tiny", tmp_path / "v", **options)
