"""A merge from end to end: every error at once, and nothing that is not whole."""

import filecmp
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import (
    OutputError,
    RvecError,
)
from tests.architectures import make_architecture
from tests.conftest import RECIPE
from tests.merge.conftest import (
    run,
)
from tests.merge.test_whole import text_for


def test_merge_tells_every_error(tmp_path: Path, triple: dict[str, Path]) -> None:
    (tmp_path / "out").mkdir()
    folders = {"target": triple["target"], "grpo": "./nowhere", "sft": "./neither"}
    text = RECIPE.format(scale=1.0, out_dtype="bfloat16", **folders)
    with pytest.raises(RvecError, match="There are 3 problems") as caught:
        run(text, tmp_path / "out")
    for said in ("grpo: ./nowhere", "sft: ./neither", "The output exists."):
        assert said in str(caught.value)


def test_files_that_no_loader_opens_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = make_architecture(tmp_path, "qwen2_5_vl")
    import rvec_merge.plan.merge_plan as planning

    real = planning.plan_merge

    def twice(*args: object, **kwargs: object) -> object:
        made = real(*args, **kwargs)
        return replace(made, tensors=(*made.tensors, made.tensors[0]))  # the fault that left gaps

    monkeypatch.setattr("rvec_merge.merge.prepare.plan_merge", twice)
    with pytest.raises(OutputError, match="not what was planned") as caught:
        run(text_for(folders), tmp_path / "out")
    assert "model.safetensors: " in str(caught.value)
    assert not any(path.name.startswith((".out", "out")) for path in tmp_path.iterdir())


def test_a_folder_whose_name_mergekit_would_take_apart(
    tmp_path: Path, triple: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = {"target": "runs/target@step5", "grpo": "./a+b", "sft": "sft+x@y"}
    (tmp_path / "runs").mkdir()
    for role, name in odd.items():
        (tmp_path / name).symlink_to(triple[role])
    run(RECIPE.format(scale=1.0, out_dtype="bfloat16", **odd), tmp_path / "odd")
    run(RECIPE.format(scale=1.0, out_dtype="bfloat16", **triple), tmp_path / "plain")
    files = ("model.safetensors", "config.json")
    assert filecmp.cmpfiles("odd", "plain", files, shallow=False)[0] == list(files)
    result = CliRunner().invoke(rvec, ["verify", "odd"], standalone_mode=False)
    assert "same bits" in result.output
