"""Outputs that the token budget cuts off: recorded, told, and no verdict rests on them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rvec_merge.results.read import read_results
from rvec_merge.stats.verdict import Finding

FEW = {
    "scales": [0.5],
    "selection": {"by": "same_items"},
    "tasks": ["rvec_tiny"],
    "perturbations": [],
    "forced_steps": False,
    "controls": {"random": 3, "permuted": 0},
    "limit": 40,
    "batch_size": 40,
}


def test_a_gain_that_a_larger_budget_might_undo_is_undecided(
    plan_file: Callable[..., Path], tmp_path: Path, local: Callable[[Path, Path], Any]
) -> None:
    out = tmp_path / "out"
    local(plan_file(**FEW, generation={"max_gen_toks": 24}), out)
    results = read_results(out)
    (verdict,) = results.summary.verdicts
    assert verdict.finding is Finding.UNDECIDED
    assert verdict.comparison.difference > 0.2
    assert verdict.budget == 24
    assert "max_gen_toks: 48 (it was 24)" in (out / "summary.md").read_text()
    vector = next(row for row in results.summary.rows if row.cell.state.kind == "vector")
    assert vector.truncated is not None
    assert vector.truncated > 0.2


def test_a_budget_that_suffices_cuts_nothing_off(
    plan_file: Callable[..., Path], tmp_path: Path, local: Callable[[Path, Path], Any]
) -> None:
    out = tmp_path / "out"
    local(plan_file(**FEW, generation={"max_gen_toks": 72}), out)
    results = read_results(out)
    assert {row.truncated for row in results.summary.rows} == {0.0}
    assert results.summary.verdicts[0].finding is not Finding.UNDECIDED
    assert "truncated" not in json.dumps((out / "summary.md").read_text().splitlines()[:40])
