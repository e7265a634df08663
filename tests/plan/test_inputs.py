"""What a recipe's spelling of a model leads to, and how it is read."""

from pathlib import Path

import pytest
import torch

from rvec_merge.arithmetic.dtypes import BFLOAT16, FLOAT32
from rvec_merge.errors import CheckpointError
from rvec_merge.plan.inputs import adapter_folder, is_compact, is_path, local_folder, read_input
from rvec_merge.recipe.reference import Place, Reference
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors


@pytest.mark.parametrize(
    "name", ["./org/name", "/org/name", "../x", "a/b/c", ".hidden", "org/made"]
)
def test_what_is_a_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_path("org/made") is False
    (tmp_path / "org/made").mkdir(parents=True)  # a folder that is here is that folder
    assert is_path(name)
    assert not is_path("org/name")


def test_a_compact_vectors_deltas_are_never_rounded(
    triple: dict[str, Path], tmp_path: Path
) -> None:
    extract_compact(open_donors(triple["grpo"], triple["sft"]), tmp_path / "v", shard_size=10**9)
    vector, model = Reference(Place(str(tmp_path / "v"))), Reference(Place(str(triple["grpo"])))
    name = "model.norm.weight"
    assert is_compact(vector)
    assert not is_compact(model)
    assert read_input(vector, tmp_path / "v").source(name, BFLOAT16).dtype != BFLOAT16
    assert read_input(model, triple["grpo"]).source(name, FLOAT32).dtype == FLOAT32


def test_an_adapter_is_no_folder_of_weights_and_is_asked_for_by_its_path(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    reference = Reference(Place(str(tmp_path)), Place(str(adapter)))
    assert local_folder(reference) is None
    with pytest.raises(CheckpointError, match="An adapter does not exist") as caught:
        adapter_folder(reference)
    assert str(adapter) in caught.value.facts
    adapter.mkdir()
    torch.save({}, adapter / "adapter_model.bin")
    assert adapter_folder(reference) == adapter
