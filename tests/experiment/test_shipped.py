"""The experiments that are shipped: read strictly, every task and variant built on sample items."""

import re
import shutil
from pathlib import Path

import pytest

from rvec_merge.experiment.checks import check
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.plan_file import read_plan
from rvec_merge.experiment.planned import Experiment
from rvec_merge.experiment.tasks import TaskBook
from rvec_merge.recipe.read import read_recipe

FOLDER = Path(__file__).resolve().parents[2] / "eval" / "experiments"
# max_position_embeddings of the plans' targets: transformers refuses a budget that fills it.
CONTEXT = {"paper-1.5b": 4096, "paper-7b": 32768}
SHIPPED = sorted(FOLDER.glob("*.yaml"))


def test_the_set_is_complete() -> None:
    assert {path.stem for path in SHIPPED} == {"tiny", "quick", "paper-1.5b", "paper-7b"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample items; those of navigate stand in for the BIG-Bench Hard subtasks without any."""
    folder = tmp_path_factory.mktemp("samples") / "data"
    shutil.copytree(FOLDER.parent / "data", folder)
    for name in (path.stem for path in (FOLDER.parent / "tasks/bbh/cot_fewshot").glob("*.yaml")):
        subtask = folder / "bbh" / name.removeprefix("rvec_bbh_cot_fewshot_")
        if not subtask.exists():
            shutil.copytree(folder / "bbh" / "navigate", subtask)
    return folder


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_cell_of_it_can_be_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, samples: Path
) -> None:
    plan, recipe = read_plan(path)
    header = path.read_text().partition("recipe:")[0]
    assert f"rvec experiment eval/experiments/{path.name} -o results/{path.stem}" in header
    if path.stem.startswith("paper"):
        monkeypatch.setenv("RVEC_EVAL_DATA", str(samples))
        # A dozen sample items are too few to set a share of them aside, or to perturb two.
        monkeypatch.setattr("rvec_merge.experiment.checks._SPREAD", 1)
        plan = Plan.model_validate({**plan.model_dump(), "selection": {"by": "same_items"}})
    experiment = Experiment(plan, read_recipe(recipe), TaskBook())
    outline = experiment.outline()
    check(experiment, outline)
    if path.stem in CONTEXT:
        assert max(outline.budgets.values()) < CONTEXT[path.stem] - 1000
    stated = re.search(r"(\d+) cells(?:, ([\d,]+) outputs)?", header)
    if stated:
        assert int(stated[1]) == len(outline.cells)
        if stated[2]:
            assert int(stated[2].replace(",", "")) == outline.generations
    conditions = {cell.condition for cell in outline.report}
    if path.stem != "quick":
        assert {"target", "target, think", "sft donor", "grpo donor, think"} <= conditions
        assert any("−" in condition and "random" in condition for condition in conditions)
    assert any("random 0, typos" in condition for condition in conditions)
