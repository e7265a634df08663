"""``rvec check`` as text and as JSON: the plan, what stands in its way, the verdict last."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from rvec_merge.cli import rvec


def run(*arguments: object) -> Result:
    words, width = ["check", *map(str, arguments)], {"COLUMNS": "80"}
    return CliRunner().invoke(rvec, words, env=width, standalone_mode=False)


def test_the_plan_and_the_verdict(tmp_path: Path) -> None:
    done = run("tiny", tmp_path / "out")
    assert done.return_value == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("target")
    assert any(line.startswith("output") and str(tmp_path / "out") in line for line in lines)
    assert lines[-1].startswith("tiny can be merged")


def test_every_error_is_told_with_its_fix_and_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    done = run("tiny", tmp_path / "out")
    assert done.return_value == 1  # what `main` exits with
    assert "Error: The output exists." in done.stderr
    assert "Fix: " in done.stderr
    assert done.stdout.splitlines()[-1] == "tiny cannot be merged: 1 error."


def test_json_says_the_same(tmp_path: Path) -> None:
    told = json.loads(run("tiny", "--json", "--deep").stdout)
    assert (told["ok"], told["errors"]) == (True, [])
    assert [entry["role"] for entry in told["inputs"]] == ["target", "grpo", "sft"]
    assert told["plan"]["scales"][0]["rows"][0]["all"] == [0.5]
    assert len(told["closeness"]) == 2
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    refused = json.loads(run("tiny", tmp_path / "out", "--json").stdout)
    assert not refused["ok"]
    assert refused["errors"][0]["headline"] == "The output exists."
