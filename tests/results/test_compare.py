"""``rvec compare`` on folders that lm-eval wrote."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rvec_merge.cli import main, rvec
from rvec_merge.stats.resampling import mcnemar_p
from rvec_merge.stats.significance import holm
from rvec_merge.tasks.samples import read_run


def invoke(*args: str):
    return CliRunner().invoke(rvec, ["compare", *args], catch_exceptions=True)


def as_json(*args: str) -> dict:
    done = invoke(*args, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.output)


def test_json_agrees_with_a_comparison_by_hand(paths) -> None:
    report = as_json(paths["a"], paths["b"], "--seed", "3")
    rows = {(r["task"], r["filter"], r["metric"]): r for r in report["rows"]}
    runs = [read_run(Path(paths[name])) for name in "ab"]
    before, after = (
        r.tasks["rv_generate"].filters["loose"].outcomes("exact_match").values for r in runs
    )
    found = rows["rv_generate", "loose", "exact_match"]["comparison"]
    assert found["difference"] == pytest.approx(after.mean() - before.mean())
    assert found["p"] == pytest.approx(mcnemar_p((after > before).sum(), (after < before).sum()))
    assert report["seed"] == 3
    assert report["notes"] == []


def test_groups_and_their_subtasks_are_separate_families(paths) -> None:
    report = as_json(paths["a"], paths["b"])
    kinds = {}
    for row in report["rows"]:
        kinds.setdefault(row["kind"], []).append(row)
    assert {kind: len(rows) for kind, rows in kinds.items()} == {
        "group": 2, "task": 2, "subtask": 4,
    }  # fmt: skip
    for family in (kinds["group"] + kinds["task"], kinds["subtask"]):
        expected = holm({i: row["comparison"]["p"] for i, row in enumerate(family)})
        assert [row["p_adjusted"] for row in family] == list(expected.values())
    parts = [r["comparison"] for r in kinds["subtask"] if r["metric"] == "acc"]
    pooled = next(r for r in kinds["group"] if r["metric"] == "acc")
    assert pooled["comparison"]["n"] == 48
    for side in ("rose", "fell"):
        assert pooled["comparison"][side] == sum(part[side] for part in parts)
    by_task = pooled["mean_of_tasks"]["difference"]
    assert by_task == pytest.approx(np.mean([part["difference"] for part in parts]))


def test_a_run_with_itself_shows_nothing(paths) -> None:
    for row in as_json(paths["a"], paths["a"])["rows"]:
        assert (row["comparison"]["difference"], row["comparison"]["p"]) == (0, 1)


def test_choices_narrow_the_family(paths) -> None:
    args = (paths["a"], paths["b"], "--task", "rv_generate", "--filter", "loose")
    (row,) = as_json(*args)["rows"]
    assert row["p_adjusted"] == row["comparison"]["p"]
    group = as_json(paths["a"], paths["b"], "--task", "rv_both", "--metric", "acc")["rows"]
    assert [r["kind"] for r in group] == ["group", "subtask", "subtask"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("a", "nowhere"), "No samples of lm-eval at nowhere."),
        (("a", "file"), "The runs do not hold the same tasks."),
        (("a", "b", "--task", "gsm8k"), "holds no samples of gsm8k."),
        (("a", "b", "--task", "rv_generate=gsm8k"), "holds no samples of gsm8k."),
        (("a", "b", "--metric", "f1"), "Nothing to compare"),
        (("a", "b", "--filter", "flexible"), "Nothing to compare"),
        (("a", "short"), "Items of rv_choice_first are not the same in both runs."),
        (("a", "think"), "rv_choice_first did not ask the same in both runs."),
        (
            ("a", "b", "--task", "rv_choice_first=rv_generate"),
            "Filters of rv_choice_first are not the same in both runs.",
        ),
        (
            ("a", "b", "--task", "rv_choice_first=rv_choice_second"),
            "rv_choice_first did not ask the same in both runs.",
        ),
    ],
)
def test_what_cannot_be_compared(paths, monkeypatch, capsys, args, message) -> None:
    monkeypatch.setattr("sys.argv", ["rvec", "compare", *(paths.get(arg, arg) for arg in args)])
    with pytest.raises(SystemExit) as caught:
        main()
    printed = capsys.readouterr()
    assert caught.value.code == 1
    assert message in printed.err.splitlines()[0]
    assert printed.err.splitlines()[-1].startswith("Fix: ")
    assert printed.out == ""


def test_wrong_usage_is_2(paths) -> None:
    assert invoke(paths["a"], paths["b"], "--json", "--markdown").exit_code == 2
    assert invoke(paths["a"], paths["b"], "--seed", "-1").exit_code == 2


def test_markdown_and_table_show_the_same_cells(paths) -> None:
    args = (paths["a"], paths["b"], "--task", "rv_generate")
    table, markdown = (invoke(*args, *more).output for more in ((), ("--markdown",)))
    lines = [line for line in markdown.splitlines() if line.startswith("| rv_generate")]
    assert len(lines) == 2
    for line in lines:
        for cell in line.strip("| ").split(" | "):
            assert cell.strip() in table
    assert "…" not in table
