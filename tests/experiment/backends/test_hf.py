"""transformers' backend, where the target is no plain checkpoint."""

import shutil
from pathlib import Path

import pytest
import torch

import rvec_merge as rv
from rvec_merge.errors import PlanError, RvecError
from rvec_merge.experiment.backends.hf import Transformers
from rvec_merge.experiment.backends.vllm import Vllm
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.plan import Plan
from rvec_merge.recipe.read import parse_recipe
from tests.checkpoint.test_dequantized import quantize
from tests.conftest import RECIPE, REPOSITORY, load_tensors


def plan_of(**changes) -> Plan:
    return Plan(
        recipe="r", tasks=["rvec_tiny"], scales=[0.5], selection={"by": "same_items"}, **changes
    )


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The embedded family in FP8."""
    found = {role: tmp_path / role for role in ("target", "sft", "grpo")}
    for role, folder in found.items():
        shutil.copytree(REPOSITORY / "demo/family" / role, folder)
        quantize(folder, "block")
    return found


def test_an_fp8_family_is_evaluated_as_it_is_merged(folders, tmp_path):
    text = RECIPE.format(**folders, scale=0.5, out_dtype="float32")
    rv.merge(text, tmp_path / "out", dequantize=True)
    recipe, plan = parse_recipe(text), plan_of(dequantize=True)
    loaded = Transformers("cpu").load(folders["target"], plan, recipe)
    loaded.become(State("vector", 0.5))
    held = loaded.model.state_dict()
    for name, value in load_tensors(tmp_path / "out").items():
        assert torch.equal(held[name], value), name


def test_fp8_is_refused_where_nobody_asked_for_it(folders):
    recipe = parse_recipe(RECIPE.format(**folders, scale=0.5, out_dtype="float32"))
    with pytest.raises(RvecError):
        Transformers("cpu").load(folders["target"], plan_of(), recipe)


def test_vllm_does_not_read_it(folders, monkeypatch):
    monkeypatch.setattr("rvec_merge.experiment.backends.vllm.installed", lambda: "vllm 0")
    with pytest.raises(PlanError, match="does not read FP8"):
        Vllm("cpu").load(folders["target"], plan_of(dequantize=True), None)
    with pytest.raises(PlanError, match="does not read FP8"):
        Vllm("cpu").depends(plan_of(dequantize=True))  # what is asked before a folder is made
