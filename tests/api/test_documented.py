"""docs/python.md is a program: its examples run one after the other."""

import re
from pathlib import Path

import pytest

import rvec_merge as rv
from tests.conftest import REPOSITORY


def test_the_documented_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo").symlink_to(REPOSITORY / "demo")
    monkeypatch.chdir(tmp_path)
    text = (REPOSITORY / "docs/python.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 6
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "docs/python.md", "exec"), names)
    assert (tmp_path / "out/half/rvec_merge.json").is_file()
    assert not (tmp_path / "out/none").exists()
    assert "Fix" not in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("name", rv.__all__)
def test_every_public_name_is_there_and_says_what_it_does(name: str) -> None:
    assert name == "__version__" or getattr(rv, name).__doc__
