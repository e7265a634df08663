"""The experiment in one process: the weights it evaluates, resuming, reuse, cells that fail."""

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rvec_merge.errors import ResultsError
from rvec_merge.experiment.backends.model_weights import ResidentWeights
from rvec_merge.experiment.choosing import at_an_end, choose
from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.fingerprint import checkpoint_fingerprint
from rvec_merge.experiment.store import Store
from rvec_merge.recipe.read import parse_recipe
from rvec_merge.results.read import read_results
from rvec_merge.tasks.outputs import outcomes

REPOSITORY = Path(__file__).resolve().parents[2]
STATES = [
    State("vector", 0.5),
    State("vector", -0.5),
    State("random", 0.7, 1),
    State("permuted", 1.0, 2),
    State("grpo"),
    State("target"),
]


def load(folder: Path, precision: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, precision))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_in_memory_are_those_of_a_stock_merge(
    precision: str, family: dict[str, Path], stock_merge: Callable[..., Path]
) -> None:
    """Bit for bit, as transformers loads the merge, whichever states came before."""
    recipe = yaml.safe_load((REPOSITORY / "recipes/tiny.yaml").read_text())
    model = load(family["target"], precision)
    weights = ResidentWeights(parse_recipe(yaml.safe_dump(recipe)), model)
    for state in STATES:
        weights.become(state)
        if state.kind in {"grpo", "target"}:
            expected = load(family[state.kind], precision)
        else:
            control = {"control": state.kind, "seed": state.seed} if state.seed else {}
            recipe["parameters"] = {"scale": state.scale, **control}
            recipe["out_dtype"] = precision
            expected = load(stock_merge(yaml.safe_dump(recipe)), precision)
        mine = dict(model.named_parameters())
        for name, tensor in expected.named_parameters():
            assert torch.equal(mine[name], tensor), (state, name)


def test_each_condition_is_run_once_and_weights_change_as_rarely_as_possible(
    finished: Any,
) -> None:
    begun = finished.log.begun
    assert len(begun) == len(set(begun)) == len(finished.log.finished) == 11
    changes = [a for a, b in pairwise(begun) if a.state != b.state]
    # One visit for each state; a second one for the scale that was chosen.
    assert len(changes) <= len({cell.state for cell in begun})


def test_forced_steps_withhold_the_answer_until_the_steps_are_written(finished: Any) -> None:
    store = Store(finished.folder)
    checked = 0
    for path in finished.folder.glob("cells/*"):
        result = store.find(path.name)
        assert result is not None
        if not result.condition.endswith("forced steps"):
            continue
        for row in result.samples():
            steps, _, _ = row["resps"][0][0].partition("####")
            assert steps.count("\n") >= row["doc"]["n_steps"]
            checked += 1
    assert checked >= 2 * 16


def test_killed_and_run_again_gives_the_same_bytes(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    killed: Callable[..., None],
    cells_in: Callable[[Path], list[str]],
    local: Callable[[Path, Path], Any],
    finished: Any,
) -> None:
    plan, out = plan_file(), tmp_path / "out"
    killed(4, plan, "-o", out, "-q")
    kept = cells_in(out)
    assert len(kept) == 4
    (out / "cells" / ".writing-killed").mkdir()
    (out / "cells" / ".writing-killed" / "cell.json").write_text("{")
    log = local(plan, out)
    assert len(log.begun) == 11 - len(kept)
    assert cells_in(out) == cells_in(finished.folder)
    assert not list(out.glob("cells/.writing-*"))
    for name in ("summary.json", "summary.md", "cells.csv", "experiment.json"):
        assert (out / name).read_bytes() == (finished.folder / name).read_bytes()


def test_a_changed_plan_runs_only_what_is_new(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    local: Callable[[Path, Path], Any],
    finished: Any,
) -> None:
    out = Path(shutil.copytree(finished.folder, tmp_path / "out"))
    log = local(plan_file(donors=True, perturbations=[]), out)
    assert [cell.state.kind for cell in log.begun] == ["sft", "grpo"]
    # Back to the first plan: nothing to run, and the same findings.
    assert local(plan_file(), out).begun == []
    assert (out / "summary.json").read_bytes() == finished.summary()
    # Other settings apply to every cell.
    log = local(plan_file(limit=12, perturbations=[], scales=[1.0], forced_steps=False), out)
    assert len(log.begun) == len(log.finished) == 3


def test_a_cell_that_raises_is_told_and_does_not_stop_the_others(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    broken_recipe: Path,
    local: Callable[[Path, Path], Any],
    cells_in: Callable[[Path], list[str]],
) -> None:
    few = {"scales": [1.0], "forced_steps": False, "perturbations": [], "donors": True}
    plan, out = plan_file(recipe=str(broken_recipe), **few), tmp_path / "out"
    with pytest.raises(ResultsError) as caught:
        local(plan, out)
    told = str(caught.value)
    assert caught.value.headline == "3 of 5 cells failed; no summary is made."
    for condition in ("sft donor", "target + 1 vector", "target + 1 random 0"):
        assert f"{condition} on rvec_tiny: NonFiniteError: " in told
    traces = list((out / "failed").iterdir())
    assert len(traces) == 3
    assert all("Traceback" in path.read_text() and str(path) in told for path in traces)
    kept = cells_in(out)
    assert len(kept) == 2
    assert not (out / "summary.json").exists()

    shutil.copy(REPOSITORY / "demo/family/sft/model.safetensors", tmp_path / "sft")
    checkpoint_fingerprint.cache_clear()
    log = local(plan, out)
    assert [cell.state.kind for cell in log.begun] == ["sft", "grpo", "vector", "random"]
    assert set(kept) < set(cells_in(out))
    assert not (out / "failed").exists()
    assert (out / "summary.json").is_file()


def test_a_failed_choosing_cell_leaves_the_scale_open_and_runs_the_rest(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    broken_recipe: Path,
    local: Callable[[Path, Path], Any],
    cells_in: Callable[[Path], list[str]],
) -> None:
    out = tmp_path / "out"
    with pytest.raises(ResultsError, match="2 of 6 cells failed"):
        local(plan_file(recipe=str(broken_recipe)), out)
    assert len(cells_in(out)) == 4  # the target: choosing, reported, perturbed, forced


def test_the_smallest_of_equal_scales_is_chosen(
    plan_file: Callable[..., Path], finished: Any
) -> None:
    from rvec_merge.experiment.run import prepare

    experiment = prepare(plan_file(scales=[1.5, 0.25, 1.0]))
    store = Store(finished.folder)
    cell = Cell("rvec_tiny_validation", State("target"))
    paths = [store.find(path.name) for path in finished.folder.glob("cells/*")]
    same = next(r for r in paths if r and (r.variant, r.condition) == (cell.task, "target"))
    scales = experiment.plan.scales
    results = {Cell(cell.task, State("vector", scale)): same for scale in scales}
    assert choose(experiment, {**results, cell: same}) == 0.25


def test_what_is_at_an_end_of_its_metric() -> None:
    """Such a task chooses no scale, and a comparison on it is flagged."""
    assert at_an_end([0.0, 0.019, 0.01]) == "floor"
    assert at_an_end([1.0, 0.99]) == "ceiling"
    assert at_an_end([0.0, 0.03]) is None
    assert at_an_end([0.0, 1.0]) is None
    assert at_an_end([3.2, 4.0]) is None


def test_a_task_at_its_floor_chooses_nothing_and_the_summary_says_so(
    plan_file: Callable[..., Path], tmp_path: Path, local: Callable[[Path, Path], Any]
) -> None:
    """The family cannot do these chains: every scale has the same score, which is none."""
    plan = plan_file(
        tasks=[{"task": "rvec_chain", "validation": "rvec_chain_validation"}],
        perturbations=[],
        forced_steps=False,
        donors=True,
        generation={"max_gen_toks": 1},
    )
    local(plan, tmp_path / "out")
    said = (tmp_path / "out" / "summary.md").read_text()
    assert "scale 0.5, the smallest of the plan, since nothing could choose one" in said
    assert "rvec_chain_validation is at its floor at every scale" in said
    assert "rvec_chain: target and donors are all at the floor of the metric" in said


def test_a_cell_depends_on_the_task_as_planned(plan_file: Callable[..., Path]) -> None:
    """A worker computes it in a process of its own; lm-eval writes its settings into the task."""
    from rvec_merge.experiment.backends.hf import Transformers
    from rvec_merge.experiment.run import prepare
    from rvec_merge.experiment.runner import CellRunner

    plan = plan_file(generation={"max_gen_toks": 4}, limit=4)
    cell = Cell("rvec_tiny", State("target"))

    def runner() -> CellRunner:
        planned = prepare(plan)
        return CellRunner(planned.plan, planned.recipe, planned.book, Transformers("cpu"))

    planned = runner().depends(cell)
    assert runner().run(cell).depends == planned


def test_facts_are_those_of_the_reported_items(
    plan_file: Callable[..., Path], tmp_path: Path, local: Callable[[Path, Path], Any]
) -> None:
    changes = {"selection": {"by": "share", "share": 0.5}, "tasks": ["rvec_tiny"], "limit": 40}
    plan = plan_file(**changes, perturbations=[], forced_steps=False)
    local(plan, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
    assert 10 <= rows[0]["level"]["n"] <= 30
    store, reported = Store(tmp_path / "out"), reported_doc_ids(plan)
    found = [store.find(path.name) for path in store.cells.iterdir()]
    for row in rows:
        cell = next(c for c in found if c and c.condition == row["condition"])
        steps = [s["steps"] for s in cell.samples() if s["doc_id"] in reported]
        assert row["steps"] == pytest.approx(sum(steps) / len(steps))
        assert len(steps) == row["level"]["n"]


def reported_doc_ids(plan: Path) -> set[int]:
    """Which items of the small task are not set aside."""
    seed, share = 0, yaml.safe_load(plan.read_text())["selection"]["share"]
    drawn = {i: hashlib.sha256(f"{seed}/rvec_tiny/{i}".encode()).digest()[:8] for i in range(40)}
    return {i for i, d in drawn.items() if int.from_bytes(d, "big") >= share * 2**64}


@pytest.mark.parametrize("metric", [None, "pass@1"])
def test_a_metric_that_is_logged_under_another_name_than_its_functions(
    metric: str | None,
    plan_file: Callable[..., Path],
    tmp_path: Path,
    local: Callable[[Path, Path], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RVEC_EVAL_DATA", str(REPOSITORY / "eval/data"))
    plan = plan_file(
        tasks=[{"task": "rvec_humaneval", **({"metric": metric} if metric else {})}],
        selection={"by": "same_items"},
        scales=[0.5],
        perturbations=[],
        forced_steps=False,
        limit=2,
        generation={"max_gen_toks": 4},
    )
    local(plan, tmp_path / "out")
    rows = read_results(tmp_path / "out").summary.rows
    assert all(row.level.mean == 0.0 for row in rows)
    assert all(("strict" in row.shares) == (metric is None) for row in rows)


def test_a_metric_that_nothing_was_scored_by_is_one_error(finished: Any) -> None:
    (cell, *_) = (Store(finished.folder).cell(p.name) for p in finished.folder.glob("cells/*"))
    names = defaultdict(lambda: {0: "a"})
    with pytest.raises(ResultsError, match="No item was scored by bleu") as caught:
        outcomes(cell.samples(), "bleu", "none", names)
    assert "exact_match" in str(caught.value)
