"""Where mergekit plans: what it leaves of the stored tensors is told, and whose fault that is."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rvec_merge.plan.inputs import Input, read_input
from rvec_merge.plan.tensors import InputTensor, ResolvedTensor
from rvec_merge.preflight.reading import check_complete, reading
from rvec_merge.recipe.reference import Place, Reference

LAYERS = [f"model.layers.{i}.{part}.weight" for i in (0, 1) for part in ("q", "k")]
EMBEDDINGS, HEAD, CONSTANT = "model.embed_tokens.weight", "lm_head.weight", "h.0.attn.masked_bias"


def model(folder: Path, label: str, **more: torch.Tensor) -> Input:
    folder.mkdir()
    stored = {name: torch.ones(2) for name in (*LAYERS, EMBEDDINGS)}
    save_file({**stored, **more}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"architectures": ["A"], "tie_word_embeddings": true}')
    return read_input(Reference(Place(str(folder))), folder, label)


def told(models: list[Input], planned: list[str], sliced: bool = False) -> list[str]:
    known = {one.reference: one for one in models}
    target = next(iter(known))
    tensors = [
        ResolvedTensor(name, target, {r: InputTensor((name,)) for r in known}, {}, None)
        for name in planned
    ]
    return [str(f) for f in check_complete(known, tensors, reading(known, tensors), sliced)]


@pytest.fixture
def target(tmp_path: Path) -> Input:
    return model(tmp_path / "target", "target", **{CONSTANT: torch.tensor(1.0)})


def test_what_every_input_stores_is_a_gap_of_mergekits(target: Input, tmp_path: Path) -> None:
    sft = model(tmp_path / "sft", "sft")
    gap, constants = told([target, sft], [*LAYERS[:-1], EMBEDDINGS])
    assert gap.startswith("mergekit's plan leaves out 1 of the 5 tensors that every input stores.")
    assert LAYERS[-1] in gap
    assert "1 of the target's stored tensors are not written." in constants
    assert CONSTANT in constants


def test_what_one_input_stores_is_its_own(target: Input, tmp_path: Path) -> None:
    sft = model(tmp_path / "sft", "sft", value=torch.ones(2))
    strange, _ = told([target, sft], [*LAYERS, EMBEDDINGS])
    assert "1 stored tensors belong to no part of the architecture." in strange
    assert "value  in sft" in strange


@pytest.mark.parametrize(("planned", "left"), [(2, 0), (1, 1)])
def test_slices_leave_out_whole_layers_alone(planned: int, left: int, target: Input) -> None:
    assert len(told([target], [*LAYERS[:planned], EMBEDDINGS], sliced=True)) == left


@pytest.mark.parametrize(("factor", "left"), [(1, 0), (2, 1)])
def test_a_tied_head_is_left_out_where_it_is_the_embeddings(
    factor: int, left: int, tmp_path: Path
) -> None:
    tied = model(tmp_path / "tied", "target", **{HEAD: factor * torch.ones(2)})
    assert len(told([tied], [*LAYERS, EMBEDDINGS])) == left
