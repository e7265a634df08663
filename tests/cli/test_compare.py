"""``rvec compare`` of two conditions of one experiment, by the names that its tables give."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from rvec_merge.cli import rvec
from rvec_merge.results.read import Results


def compare(*arguments: object) -> Result:
    return CliRunner().invoke(rvec, ["compare", *map(str, arguments)])


def test_two_conditions_give_the_reports_own_difference(folder: Path, results: Results) -> None:
    named = ("--conditions", "target", "target + 0.5 vector")
    told = json.loads(compare(folder, *named, "--metric", "exact_match", "--json").stdout)
    (row,) = (r for r in told["rows"] if r["task"] == "rvec_tiny")
    mean = {r.cell.condition: r.level.mean for r in results.rows("rvec_tiny")}
    difference = row["comparison"]["difference"]
    assert difference == mean["target + 0.5 vector"] - mean["target"]
    for condition in named[1:]:
        assert condition in (folder / "summary.md").read_text("utf-8")


def test_a_wrong_name_is_told_the_right_ones(folder: Path) -> None:
    near = compare(folder, "--conditions", "target", "target + 0.6 vector").exception
    assert "did you mean 'target + 0.5 vector'" in str(near)
    far = compare(folder, "--conditions", "target", "elsewhere").exception
    assert "there are: target; " in str(far)
    assert "target + 0.5 vector" in str(far)


def test_either_two_runs_or_two_conditions(folder: Path) -> None:
    for arguments in ((folder,), (folder, folder, "--conditions", "target", "sft donor")):
        done = compare(*arguments)
        assert done.exit_code == 2
        assert "Give A and B, or a results folder and --conditions." in done.output
