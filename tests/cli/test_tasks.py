"""``rvec tasks``: ours, a line each or for a program."""

import json
from pathlib import Path

from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.tasks.tasks_index import include_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(rvec, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_tasks_lists_a_line_each() -> None:
    lines = run("tasks", "gsm8k", "think", "numeric").splitlines()
    assert [line.split()[0] for line in lines] == [
        "rvec_gsm8k_cot_zeroshot_think_gsm_plus_numeric",
        "rvec_gsm8k_cot_zeroshot_think_numeric",
        "rvec_gsm8k_think_gsm_plus_numeric",
        "rvec_gsm8k_think_numeric",
    ]
    assert lines[3].endswith("GSM8K, 5-shot, think, numeric")


def test_members_of_groups_are_listed_on_request() -> None:
    short, long = run("tasks"), run("tasks", "--all")
    assert "rvec_bbh_cot_fewshot_think " in short
    assert "rvec_bbh_cot_fewshot_navigate " not in short
    assert "rvec_bbh_cot_fewshot_navigate " in long
    assert "rvec_tiny " in short


def test_tasks_for_machines() -> None:
    entries = json.loads(run("tasks", "--json"))
    assert {entry["kind"] for entry in entries} == {"task", "group"}
    assert Path(run("tasks", "--path").strip()) == include_path()
    assert (Path(run("tasks", "--sample-data").strip()) / "gsm8k" / "test.jsonl").is_file()
    assert CliRunner().invoke(rvec, ["tasks", "--path", "--json"]).exit_code == 2
