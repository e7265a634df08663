"""What is streamed, what is copied, and what is left to mergekit or to nobody."""

import shutil
from pathlib import Path

import pytest
import torch

from rvec_merge.errors import IncompatibleTensorsError
from rvec_merge.plan.merge_plan import NotStreamable, plan_merge
from rvec_merge.recipe.read import parse_recipe
from tests.merge.conftest import assert_same_tensors, rewrite, run, text

NORM = "model.norm.weight"


def test_a_plan_without_tensors_is_not_streamed(triple):
    with pytest.raises(NotStreamable, match="could not be seen"):
        plan_merge(parse_recipe(text(triple)), [], inputs={})


def test_buffers_that_are_not_floating_point_are_copied(tmp_path, stock, triple):
    folders = {}
    for name, folder in triple.items():
        folders[name] = Path(shutil.copytree(folder, tmp_path / name))
        rewrite(folders[name], lambda n, t: torch.arange(32) if n == "model.norm.weight" else t)
    recipe = text(folders).replace("out_dtype: bfloat16\n", "")
    run(recipe, tmp_path / "out")
    assert_same_tensors(tmp_path / "out", stock(recipe))


def test_buffers_that_differ_are_refused(tmp_path, triple):
    folders = {name: Path(shutil.copytree(f, tmp_path / name)) for name, f in triple.items()}
    for first, folder in enumerate(folders.values()):
        rewrite(
            folder, lambda n, t, first=first: torch.arange(first, first + 32) if n == NORM else t
        )
    with pytest.raises(IncompatibleTensorsError, match=f"The buffer {NORM} differs") as caught:
        run(text(folders), tmp_path / "out")
    assert [fact.partition(": ")[2] for fact in caught.value.facts] == ["int64 (32,)"] * 3
