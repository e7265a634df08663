"""Copies of bundled recipes and plans, to be edited; what exists is left alone."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rvec_merge.cli import rvec
from rvec_merge.errors import OutputError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(rvec, arguments)


@pytest.mark.parametrize(("verb", "name"), [("recipes", "controls/random"), ("plans", "quick")])
def test_a_copy_is_what_is_printed(
    verb: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / f"{name.rpartition('/')[2]}.yaml"
    assert run(verb, "copy", name).output == f"{made.name}\n"
    assert made.read_text("utf-8") == run(verb, name).output
    assert run(verb, "copy", name, "other.yaml").exit_code == 0
    made.write_text("mine")
    again = run(verb, "copy", name)
    assert isinstance(again.exception, OutputError)
    assert made.read_text() == "mine"


@pytest.mark.parametrize("words", [["copy"], ["copy", "tiny", "a", "b"]])
def test_a_copy_without_a_name_is_wrong_usage(words: list[str]) -> None:
    done = run("plans", *words)
    assert done.exit_code == 2
    assert "Give copy NAME, or copy NAME FILE." in done.output
