"""Which item of one run is which of another, and what must not be paired."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import ResultsError
from rvec_merge.results.compare import compare_runs
from rvec_merge.results.pairing import Selection
from rvec_merge.tasks.samples import Run, read_run


def invoke(*args: str):
    return CliRunner().invoke(rvec, ["compare", *args], catch_exceptions=True)


def as_json(*args: str) -> dict:
    done = invoke(*args, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.output)


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
