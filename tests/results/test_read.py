"""A finished experiment, read from its folder as it was written, and damage named."""

import json
from pathlib import Path

import pytest

from rvec_merge.errors import ResultsError
from rvec_merge.experiment.store import Store
from rvec_merge.results.read import read_results, read_summary


def test_a_summary_is_read_as_it_was_written(folder: Path) -> None:
    written = json.loads((folder / "summary.json").read_text())
    assert json.loads(json.dumps(read_summary(Store(folder)).as_dict())) == written


@pytest.mark.parametrize(
    ("name", "text", "headline"),
    [
        ("summary.json", None, "not finished"),
        ("flips.json", "[]", "do not belong together"),
        ("summary.json", '{"rows": 3}', "damaged"),
        ("experiment.json", '{"format": 2}', "damaged"),
        ("experiment.json", '{"format": 99}', "another version"),
        ("experiment.json", None, "no results folder"),
        ("experiment.json", "{", "damaged"),
    ],
)
def test_damage_is_named(copy: Path, name: str, text: str | None, headline: str) -> None:
    if text is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(text)
    with pytest.raises(ResultsError, match=headline):
        read_results(copy)
