"""``rvec plans``: the bundled plans, and the beginning of one's own."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rvec_merge.cli import rvec
from rvec_merge.experiment.plan_file import read_plan, shelf


def run(*arguments: object) -> Result:
    return CliRunner().invoke(rvec, ["plans", *map(str, arguments)], env={"COLUMNS": "100"})


def test_every_plan_is_listed_with_what_it_is_for() -> None:
    listed = run().output
    told = json.loads(run("--json").output)
    assert [entry["name"] for entry in told] == [plan.name for plan in shelf().files]
    assert {entry["name"] for entry in told} <= set(listed.split())
    assert Path(run("tiny", "--path").output.strip()).parent == Path(run("--path").output.strip())


def test_a_new_plan_can_be_read_and_is_not_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    made = run("new", path, "--recipe", "tiny", "--tasks", "rvec_tiny, rvec_sciq")
    assert made.output == f"{path}\n"
    plan, _ = read_plan(path)
    assert len(plan.tasks) == 2
    assert run("new", path, "--recipe", "tiny", "--tasks", "rvec_tiny").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["new"], 2, "A new plan needs --recipe and --tasks."),
        (["tiny", "--recipe", "r.yaml"], 2, "belong to rvec plans new"),
        (["nope"], 1, "No bundled plan is called 'nope'."),
        (["new", "x.yaml", "--recipe", "nope", "--tasks", "a"], 1, "recipe that does not exist"),
    ],
)
def test_mistakes(
    arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == code
    assert said in (done.output if code == 2 else str(done.exception))
    assert not list(tmp_path.iterdir())
