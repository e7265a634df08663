"""What a recipe calls a model, and what lies there."""

import shutil
from pathlib import Path

import pytest

import rvec_merge as rv
from rvec_merge.errors import RvecError
from rvec_merge.recipe.reference import Place, Reference, placed
from tests.conftest import RECIPE, load_tensors
from tests.preflight.mutations import adapter


def text(triple: dict[str, Path], grpo: object) -> str:
    return RECIPE.format(**{**triple, "grpo": grpo}, scale=1.0, out_dtype="float32")


@pytest.fixture
def on_sft(triple: dict[str, Path], tmp_path: Path) -> Path:
    """An adapter whose configuration names the sft donor."""
    adapter(tmp_path / "lora", str(triple["sft"]))
    return tmp_path / "lora"


def test_an_adapters_folder_is_the_adapter_on_its_base(
    triple: dict[str, Path], on_sft: Path, tmp_path: Path
) -> None:
    alone = rv.merge(text(triple, on_sft), tmp_path / "alone")
    rv.merge(text(triple, f"{triple['sft']}+{on_sft}"), tmp_path / "named")
    ours, theirs = (load_tensors(tmp_path / name) for name in ("alone", "named"))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert alone.effect is not None
    assert rv.verify(tmp_path / "alone").holds
    rv.extract(None, tmp_path / "v", grpo=str(on_sft), sft=str(triple["sft"]))
    rv.extract(text(triple, on_sft), tmp_path / "w")
    for name in ("v", "w"):
        (row,) = (r for r in rv.inspect(tmp_path / name).rows if r.measured.nonzero)
        assert row.label == "model.layers.0.self_attn.q_proj.weight"


def test_a_base_beside_the_adapter_is_found_wherever_both_lie(
    triple: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(triple["sft"], tmp_path / "run/base")
    adapter(tmp_path / "run/lora", "../base")
    monkeypatch.chdir(tmp_path)
    found = Reference.read(placed("run/lora"))
    assert found == Reference(Place("run/lora/../base"), Place("run/lora"))


def test_an_adapter_of_a_base_that_is_not_there(triple: dict[str, Path], tmp_path: Path) -> None:
    adapter(tmp_path / "lora", "/of/another/machine")
    with pytest.raises(RvecError) as caught:
        rv.merge(text(triple, tmp_path / "lora"), tmp_path / "out")
    assert f"/of/another/machine+{tmp_path / 'lora'}" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_merged_model_that_kept_its_adapters_configuration_is_a_model(
    triple: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(triple["grpo"], tmp_path / "merged")
    (tmp_path / "merged/adapter_config.json").write_text('{"base_model_name_or_path": "org/x"}')
    assert placed(str(tmp_path / "merged")) == str(tmp_path / "merged")


@pytest.mark.parametrize("name", ["a@b", "a+b"])
def test_a_folder_is_that_folder_whatever_its_name(name: str, tmp_path: Path) -> None:
    assert Reference.read(placed(str(tmp_path / name))) != Reference(Place(str(tmp_path / name)))
    (tmp_path / name).mkdir()
    assert Reference.read(placed(str(tmp_path / name))) == Reference(Place(str(tmp_path / name)))
