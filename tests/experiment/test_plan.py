"""Plans that cannot be run, and results folders that are another's: one error, nothing written."""

import fcntl
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import PlanError, RecipeError, ResultsError, RvecError
from rvec_merge.experiment.plan import TaskPlan
from rvec_merge.experiment.tasks import TaskBook

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = {"task": "rvec_tiny", "validation": "rvec_tiny_validation"}
THINK = {"task": "rvec_tiny_think", "prompts": ["plain"], "perturbations": []}


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(rvec, ["experiment", *map(str, arguments)])


def refused(*arguments: object) -> RvecError:
    done = invoke(*arguments)
    assert isinstance(done.exception, RvecError), done.output
    assert done.exception.fix
    return done.exception


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"scales": ["half"]}, PlanError, "scales.0: write a number"),
        ({"scales": [float("nan")]}, PlanError, "scales.0"),
        (
            {"scales": [True]},
            PlanError,
            "write a number (it is True)\nFix",
        ),
        ({"scales": []}, PlanError, "scales: names none"),
        ({"limit": True}, PlanError, "limit: write a whole number"),
        ({"limit": "3"}, PlanError, "limit: write a whole number"),
        ({"batch_size": "Auto"}, PlanError, "batch_size: write a whole number from 1, or auto"),
        ({"batch_size": True}, PlanError, "batch_size: write a whole number from 1, or auto"),
        ({"chat_template": "off"}, PlanError, "chat_template: write true or false"),
        ({"seed": 2**32}, PlanError, "seed: be less than"),
        ({"generation": {"temperature": 0.5}}, PlanError, "without do_sample: true"),
        ({"generation": {"top_p": 0.9}}, PlanError, "without do_sample: true"),
        ({"tasks": [{**TINY, "samples": 4}]}, PlanError, "samples of rvec_tiny: greedy outputs"),
        (
            {"tasks": [{**TINY, "samples": 4}], "generation": {"do_sample": True}},
            PlanError,
            "need the metric answer",
        ),
        ({"thinking": {"on": True}, "chat_template": False}, PlanError, "chat_template is false"),
        ({"thinking": {"end": ""}}, PlanError, "thinking.end"),
        ({"controls": {"vectors": ["a/x.yaml", "b/x"]}}, PlanError, "two have one name"),
        ({"generation": {"temperature": 0, "do_sample": True}}, PlanError, "greater than 0"),
        ({"scales": [0.5, 0.5]}, PlanError, "a scale is listed twice"),
        ({"scael": [1.0]}, PlanError, "scael: there is no such key"),
        ({"recipe": "recipes/none.yaml"}, PlanError, "a recipe that does not exist"),
        ({"recipe": "pyproject.toml"}, RecipeError, "not valid YAML"),
        ({"perturbations": ["range"]}, PlanError, "rvec_tiny has no variant 'range'"),
        ({"perturbations": ["noise"]}, PlanError, "perturbations.0"),
        ({"prompts": ["think"]}, PlanError, "prompts must include plain"),
        ({"tasks": [{**TINY, "metric": "bleu"}]}, PlanError, "has no metric 'bleu'"),
        ({"tasks": [{**TINY, "filter": "last"}]}, PlanError, "has no filter 'last'"),
        ({"tasks": ["rvec_tiny"]}, PlanError, "no validation task is named for rvec_tiny"),
        ({"selection": {"by": "share"}, "limit": 20}, PlanError, "too few items to split"),
        ({"selection": {"by": "guess"}}, PlanError, "selection.by"),
        ({"tasks": [{**TINY, "prompts": ["think"]}]}, PlanError, "rvec_tiny must include plain"),
        ({"tasks": [{**TINY, "validation": "rvec_tiny"}]}, PlanError, "must be no other task"),
        ({"limit": 1}, PlanError, "too few items to estimate an error from"),
        (
            {"tasks": [{**TINY, "min_items": 580}], "perturbations": ["shuffle"], "limit": None},
            PlanError,
            "565 of 600 items could be perturbed, and min_items is 580",
        ),
        (
            {"prompts": ["plain", "think"], "tasks": [TINY, {**THINK, "selects": False}]},
            PlanError,
            "both evaluate rvec_tiny_think",
        ),
    ],
)
def test_a_plan_that_cannot_be_run(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    changes: dict[str, Any],
    error: type[RvecError],
    says: str,
) -> None:
    found = refused(plan_file(**changes), "-o", tmp_path / "out")
    assert isinstance(found, error)
    assert says in str(found)
    assert not (tmp_path / "out").exists()


def test_an_unknown_task_is_told_with_its_neighbours(
    plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    plan = plan_file(tasks=[{**TINY, "task": "rvec_tinny"}])
    found = refused(plan, "-o", tmp_path / "out")
    assert found.headline == "Unknown task 'rvec_tinny'."
    assert "rvec_tiny" in found.facts[0]
    assert not (tmp_path / "out").exists()


def test_no_plan_at_all(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "none.yaml", "--dry-run").headline
    (tmp_path / "text.yaml").write_text("scales: [1.0\n")
    assert "not valid YAML" in refused(tmp_path / "text.yaml", "--dry-run").headline


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Name the results folder"),
        (["-o", "x", "--workers", "2"], "--workers goes with --engine ray"),
        (["-o", "x", "--engine", "ray", "--device", "cpu"], "--device goes with --engine local"),
        (["-o", "x", "--engine", "slurm"], "'slurm' is not one of"),
        (["-o", "x", "--engine", "ray", "--workers", "0"], "--workers"),
    ],
)
def test_options_that_do_not_go_together(
    plan_file: Callable[..., Path], arguments: list[str], says: str
) -> None:
    done = invoke(plan_file(), *arguments)
    assert done.exit_code == 2
    assert says in done.output
    assert not Path("x").exists()


def test_a_device_that_is_not_there(plan_file: Callable[..., Path], tmp_path: Path) -> None:
    found = refused(plan_file(), "-o", tmp_path / "out", "--device", "cuda:9")
    assert "no device 'cuda:9'" in found.headline


def folder_of(found: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(found.folder, tmp_path / "out"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_results_of_another_version(
    plan_file: Callable[..., Path], tmp_path: Path, finished: Any
) -> None:
    out = folder_of(finished, tmp_path)
    head = json.loads((out / "experiment.json").read_text())
    (out / "experiment.json").write_text(json.dumps({**head, "format": 99}))
    before = contents(out)
    found = refused(plan_file(), "-o", out)
    assert isinstance(found, ResultsError)
    assert found.headline == "The results are of another version."
    assert contents(out) == before


@pytest.mark.parametrize("what", ["donor", "tasks"])
def test_results_of_another_plan(
    plan_file: Callable[..., Path], tmp_path: Path, finished: Any, what: str
) -> None:
    out = folder_of(finished, tmp_path)
    before = contents(out)
    if what == "tasks":
        plan = plan_file(tasks=["rvec_tiny_side"], perturbations=[], scales=[1.0])
    else:
        recipe = yaml.safe_load((REPOSITORY / "recipes/tiny.yaml").read_text())
        recipe["models"].reverse()
        recipe["models"][0]["parameters"]["role"] = "grpo"
        recipe["models"][1]["parameters"]["role"] = "sft"
        (tmp_path / "swapped.yaml").write_text(yaml.safe_dump(recipe))
        plan = plan_file(recipe=str(tmp_path / "swapped.yaml"))
    found = refused(plan, "-o", out)
    assert isinstance(found, ResultsError)
    assert found.headline == "The results folder was written by another plan."
    assert ("recipe.models: " if what == "donor" else "tasks: ") in str(found)
    assert contents(out) == before


def test_a_folder_with_something_else_in_it(plan_file: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.txt").write_text("1")
    assert "holds something else" in refused(plan_file(), "-o", out).headline
    assert [p.name for p in out.iterdir()] == ["chapter.txt"]


def test_a_folder_that_another_run_is_writing(
    plan_file: Callable[..., Path], tmp_path: Path, finished: Any
) -> None:
    out = folder_of(finished, tmp_path)
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another run is writing" in refused(plan_file(), "-o", out).headline


def test_a_dry_run_prints_the_cells_and_writes_nothing(
    plan_file: Callable[..., Path], tmp_path: Path, finished: Any
) -> None:
    done = invoke(plan_file(), "-o", tmp_path / "out", "--dry-run")
    assert done.exit_code == 0
    assert f"{len(finished.log.finished)} cells" in done.output
    assert "forced steps" in done.output
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_it_takes(plan_file: Callable[..., Path], tmp_path: Path) -> None:
    done = invoke(plan_file(), "--dry-run", "--tokens-per-second", "100")
    tokens = int(re.search(r"([\d,]+) tokens of outputs, at most", done.output)[1].replace(",", ""))
    outputs = int(re.search(r"([\d,]+) outputs", done.output)[1].replace(",", ""))
    assert tokens == outputs * 72  # rvec_tiny's budget
    assert "821,376 parameters: 3.29 MB of weights in float32" in done.output
    assert f"At 100 tokens/s: {tokens / 6000:,.0f} minutes." in done.output
    guessed = " ".join(invoke(plan_file(), "--dry-run").output.split())
    assert "Under two minutes by what a model of 135 million parameters did" in guessed
    assert "a guess." in guessed
    wrong = invoke(plan_file(), "-o", tmp_path / "out", "--tokens-per-second", "100")
    assert wrong.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_running_what_models_write_is_asked_for(
    plan_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVEC_EVAL_DATA", "sample")
    short = {"max_gen_toks": 64}
    plan = plan_file(tasks=["rvec_humaneval"], scales=[1.0], forced_steps=False, generation=short)
    found = refused(plan, "-o", tmp_path / "out")
    assert "tasks: rvec_humaneval" in found.facts
    assert "--confirm-run-unsafe-code" in found.fix
    assert not (tmp_path / "out").exists()


def test_a_validation_task_that_runs_code_is_asked_for_too(
    plan_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVEC_EVAL_DATA", "sample")
    tasks = [{"task": "rvec_tiny", "validation": "rvec_humaneval", "metric": None}]
    short = {"max_gen_toks": 64}
    found = refused(plan_file(tasks=tasks, limit=4, generation=short), "-o", tmp_path / "out")
    assert "tasks: rvec_humaneval" in found.facts


@pytest.mark.parametrize(
    ("higher", "aggregation", "says"),
    [(False, "mean", "lower is better"), (True, "matthews_corrcoef", "matthews_corrcoef")],
)
def test_a_metric_that_cannot_be_compared_item_by_item(
    monkeypatch: pytest.MonkeyPatch, higher: bool, aggregation: str, says: str
) -> None:
    from lm_eval.api.registry import get_aggregation

    book = TaskBook()
    (task,) = book.tasks("rvec_tiny").values()
    assert book.metric(TaskPlan(task="rvec_tiny"), "rvec_tiny") == ("exact_match", "none")
    monkeypatch.setattr(task, "higher_is_better", lambda: {"exact_match": higher})
    monkeypatch.setattr(task, "aggregation", lambda: {"exact_match": get_aggregation(aggregation)})
    with pytest.raises(PlanError, match=says):
        book.metric(TaskPlan(task="rvec_tiny"), "rvec_tiny")


@pytest.mark.parametrize(("tokens", "fits"), [(511, True), (512, False), (4096, False)])
def test_a_token_budget_that_is_the_whole_context(
    plan_file: Callable[..., Path], tmp_path: Path, tokens: int, fits: bool
) -> None:
    """It would leave no room for a prompt, and show cell by cell, after hours."""
    plan = plan_file(generation={"max_gen_toks": tokens})
    if fits:
        assert invoke(plan, "--dry-run").exit_code == 0
        return
    error = refused(plan, "-o", tmp_path / "out")
    assert "whole context" in error.headline
    assert any(f"rvec_tiny: {tokens:,} tokens" in fact for fact in error.facts)
    assert not (tmp_path / "out").exists()
