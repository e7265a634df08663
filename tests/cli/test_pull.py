"""``rvec pull`` as a user runs it, with nothing but the environment to say where the Hub is."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec as group
from tests.hub.state import Hub

pytestmark = pytest.mark.usefixtures("shared")


def run(*arguments: object):
    return CliRunner().invoke(group, [str(a) for a in arguments], env={"COLUMNS": "200"})


def test_extract_streamed_push_pull_inspect(hub: Hub, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = run("extract", "v", "--grpo", "org/grpo", "--sft", "org/sft", "--stream")
    assert made.exit_code == 0, made.exception
    assert run("push", "vector", "v", "me/vector", "--license", "mit", "--json").exit_code == 0
    hub.put("me/vector", {**hub.files("me/vector"), "evil\x1b[2J.py": b"import os"})
    pulled = run("pull", "me/vector")
    assert pulled.exit_code == 0
    assert (tmp_path / "vector/rvec_vector.json").is_file()
    assert not list((tmp_path / "vector").glob("*.py"))
    assert "Ignored: evil?[2J.py" in pulled.output
    shown = run("inspect", "hf://me/vector", "--json")
    assert json.loads(shown.stdout)["total"]["norm"] > 0
    assert json.loads(shown.stdout)["vectors"][0].startswith("hf://me/vector@")


def test_what_stands_there_is_not_replaced_and_no_option_is_named_that_is_none(
    hub: Hub, tmp_path: Path
):
    refused = run("pull", "me/vector", "-o", tmp_path)
    assert str(refused.exception).splitlines()[-1] == "Fix: name a new folder: -o FOLDER."
