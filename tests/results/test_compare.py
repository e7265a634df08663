"""``rvec compare`` on folders that lm-eval wrote."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rvec_merge.cli import main, rvec
from rvec_merge.errors import ResultsError
from rvec_merge.results.compare import compare_runs
from rvec_merge.results.pairing import Selection
from rvec_merge.stats.resampling import mcnemar_p
from rvec_merge.stats.significance import holm, paired
from rvec_merge.tasks.samples import Run, read_run


@pytest.fixture(scope="session")
def think(harness) -> Path:
    """Model a on the same items with another prompt."""
    return harness.run("a", "think", prompt="plus ")


@pytest.fixture(scope="session")
def short(harness) -> Path:
    """Model b on the first ten items."""
    return harness.run("b", "short", limit=10)


@pytest.fixture(scope="session")
def mirrored(harness) -> Path:
    """Model a on perturbed items, of which two could not be made."""
    return harness.run("a", "mirrored", perturbed=True)


@pytest.fixture(scope="session")
def paths(runs, think, short, mirrored) -> dict[str, str]:
    (one_file,) = runs["b"].rglob("samples_rv_generate_*.jsonl")
    named = {**runs, "think": think, "short": short, "mirrored": mirrored, "file": one_file}
    return {name: str(path) for name, path in named.items()} | {"nowhere": "nowhere"}


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


def test_documents_pair_by_hash_whatever_their_order(paths) -> None:
    one = read_run(Path(paths["a"]))
    task = "rv_choice_first"
    moved = reorder(read_run(Path(paths["b"])), task)
    chosen = Selection(tasks=[task], metrics=["acc"])
    with pytest.raises(ResultsError, match="did not ask the same"):
        compare_runs(one, moved, chosen)
    by_hash = Selection(tasks=[task], metrics=["acc"], by="doc_hash")
    expected = compare_runs(one, read_run(Path(paths["b"])), chosen).rows[0].comparison
    report = compare_runs(one, moved, by_hash)
    found = report.rows[0].comparison
    assert (found.rose, found.fell, found.low) == (expected.rose, expected.fell, expected.low)
    assert report.notes == (
        f"{task}: 1 of 24 items repeat an earlier document; paired in order of doc_id.",
    )


def reorder(run: Run, task: str) -> Run:
    """The same samples under other ``doc_id``s, the repeated document's in the same order."""
    from dataclasses import replace

    found = run.tasks[task].filters["none"]
    order = np.roll(np.arange(24), -3)
    moved = replace(
        found,
        doc_hashes=found.doc_hashes[order],
        prompt_hashes=found.prompt_hashes[order],
        target_hashes=found.target_hashes[order],
        metrics={name: values[order] for name, values in found.metrics.items()},
    )
    return replace(run, tasks={task: replace(run.tasks[task], filters={"none": moved})})


def test_different_prompts_only_when_meant(paths) -> None:
    args = (paths["a"], paths["think"], "--task", "rv_both")
    assert "prompts differ on 24 of 24 items" in str(invoke(*args).exception)
    report = as_json(*args, "--different-prompts")
    assert "rv_choice_first: prompts differ on 24 of 24 items." in report["notes"]


def test_clean_pairs_with_perturbed_by_origin(paths) -> None:
    args = (paths["a"], paths["mirrored"], "--task", "rv_choice_first", "--metric", "acc")
    refused = str(invoke(*args, "--different-prompts").exception)
    assert "A holds 24, B holds 22, 22 in common" in refused
    assert "only in A: doc_id 2, 7" in refused
    report = as_json(*args, "--different-prompts", "--common-items")
    assert "rv_choice_first: left out 2 items that only A holds." in report["notes"]
    clean, mirrored = (
        read_run(Path(paths[name])).tasks["rv_choice_first"].filters["none"].outcomes("acc")
        for name in ("a", "mirrored")
    )
    kept = np.isin(clean.items, mirrored.items)
    difference = mirrored.values.mean() - clean.values[kept].mean()
    assert report["rows"][0]["comparison"]["difference"] == pytest.approx(difference)


def test_filters_defined_otherwise_are_refused(paths) -> None:
    from dataclasses import replace

    one, two = (read_run(Path(paths[name])) for name in "ab")
    task = two.tasks["rv_generate"]
    changed = json.loads(json.dumps(task.filter_definitions))
    changed[1]["filter"][0]["regex_pattern"] = "([0-9]+)"
    other = replace(two, tasks={"rv_generate": replace(task, filter_definitions=changed)})
    with pytest.raises(ResultsError, match="Filter loose of rv_generate is not defined alike"):
        compare_runs(one, other, Selection(tasks=["rv_generate"]))
    compare_runs(one, other, Selection(tasks=["rv_generate"], filters=["strict"]))


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


def test_points_and_other_units_read_differently(paths) -> None:
    from rvec_merge.results import wording

    runs = [read_run(Path(paths[name])) for name in "ab"]
    before, after = (r.tasks["rv_generate"].filters["loose"].outcomes("exact_match") for r in runs)
    found = paired(before, after)
    assert wording.change(found.difference, binary=True) == "−29.2"
    assert wording.change(-29.1666, binary=False) == "−29.17"
    assert [wording.p_phrase(p) for p in (0.0004, 0.0123, 0.4)] == [
        "p < 0.001", "p = 0.012", "p = 0.40",
    ]  # fmt: skip
