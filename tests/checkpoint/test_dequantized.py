"""FP8 checkpoints, as DeepSeek, Qwen and llm-compressor publish them, against torch."""

import json
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import rvec_merge as rv
from rvec_merge.checkpoint.dequantized import Dequantized, dequantized
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import RvecError
from tests.conftest import RECIPE, load_tensors

FORMS = ("block", "tensor", "scalar", "row", "column of rows")
BLOCK = (16, 24)  # neither divides 80, 32 or 48 in every direction


def scales_of(weight: torch.Tensor, form: str) -> torch.Tensor:
    """The scale of each element's group, in the group's shape."""
    high = weight.float().abs()
    if form == "block":
        grid = [ceil(n / b) for n, b in zip(weight.shape, BLOCK, strict=True)]
        made = torch.empty(grid)
        for i in range(grid[0]):
            for j in range(grid[1]):
                part = high[i * BLOCK[0] : (i + 1) * BLOCK[0], j * BLOCK[1] : (j + 1) * BLOCK[1]]
                made[i, j] = part.max() / 448
        return made
    if form in ("tensor", "scalar"):
        found = high.max() / 448
        return found.reshape(1) if form == "tensor" else found
    rows = high.max(dim=1).values / 448
    return rows if form == "row" else rows.reshape(-1, 1)


def spread(scale: torch.Tensor, weight: torch.Tensor, form: str) -> torch.Tensor:
    if form == "block":
        wide = scale.repeat_interleave(BLOCK[0], 0).repeat_interleave(BLOCK[1], 1)
        return wide[: weight.shape[0], : weight.shape[1]]
    return scale.reshape(-1, 1) if form in ("row", "column of rows") else scale


def quantize(folder: Path, form: str) -> dict[str, torch.Tensor]:
    """Write a checkpoint's matrices in FP8; returns what they mean, in float32, by torch."""
    tensors, exact = {}, {}
    end = "_scale" if form in ("row", "column of rows") else "_scale_inv"
    for name, weight in load_file(folder / "model.safetensors").items():
        if not name.endswith("proj.weight"):
            tensors[name] = exact[name] = weight
            continue
        scale = scales_of(weight, form)
        stored = (weight.float() / spread(scale, weight, form)).to(torch.float8_e4m3fn)
        tensors[name], tensors[name + end] = stored, scale
        tensors[name.replace(".weight", ".input_scale")] = torch.ones(1)
        exact[name] = stored.float() * spread(scale, weight, form)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": list(BLOCK)}
    path.write_text(json.dumps(config))
    return exact


@pytest.fixture(params=FORMS)
def quantized(request, make_triple_here) -> tuple[dict[str, Path], dict[str, dict]]:
    folders = make_triple_here
    return folders, {role: quantize(folders[role], request.param) for role in folders}


@pytest.fixture
def make_triple_here(tmp_path: Path) -> dict[str, Path]:
    from tests.conftest import make_triple

    return make_triple(tmp_path / "triple", intermediate_size=80)


def text(folders: dict[str, Path], out_dtype: str = "float32") -> str:
    return RECIPE.format(**folders, scale=0.5, out_dtype=out_dtype)


def test_every_window_is_what_torch_gives(quantized) -> None:
    folders, exact = quantized
    found = dequantized(Checkpoint.open(folders["grpo"]))
    assert isinstance(found, Dequantized)
    assert found.tensors.keys() == exact["grpo"].keys()
    for name, wanted in exact["grpo"].items():
        flat = wanted.float().reshape(-1).numpy()
        source = found.source(name)
        for start, stop in ((0, flat.size), (3, 5), (7, flat.size - 11), (flat.size, flat.size)):
            assert np.array_equal(source[start:stop].astype(np.float32), flat[start:stop]), name


def test_it_is_merged_when_asked_for(quantized, tmp_path: Path) -> None:
    folders, exact = quantized
    with pytest.raises(RvecError, match=r"(?s)quantized.*--dequantize"):
        rv.merge(text(folders), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert rv.check(text(folders), dequantize=True).ok
    rv.merge(text(folders), tmp_path / "out", dequantize=True)
    merged = load_tensors(tmp_path / "out")
    target, grpo, sft = (exact[role] for role in ("target", "grpo", "sft"))
    assert merged.keys() == target.keys()
    for name, value in merged.items():
        wanted = target[name].float() + 0.5 * (grpo[name].float() - sft[name].float())
        assert torch.equal(value, wanted), name
    assert rv.verify(tmp_path / "out").holds
    assert "quantization_config" not in json.loads((tmp_path / "out/config.json").read_text())
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(model.state_dict()[name].float(), merged[name])


def test_its_vector_is_extracted_when_asked_for(quantized, tmp_path: Path) -> None:
    folders, _ = quantized
    pair = {role: str(folders[role]) for role in ("grpo", "sft")}
    with pytest.raises(RvecError):
        rv.extract(None, tmp_path / "v", **pair)
    rv.extract(None, tmp_path / "v", dequantize=True, **pair)
    rv.merge(text(folders), tmp_path / "a", dequantize=True)
    recipe = f"""
merge_method: reasoning_vector
base_model: {folders["target"]}
models: [{{model: {tmp_path / "v"}, parameters: {{role: vector}}}}]
parameters: {{scale: 0.5}}
out_dtype: float32
"""
    rv.merge(recipe, tmp_path / "b", dequantize=True)
    a, b = load_tensors(tmp_path / "a"), load_tensors(tmp_path / "b")
    assert all(torch.equal(a[name], b[name]) for name in a)
    rv.extract(None, tmp_path / "d", vector=str(tmp_path / "v"), format="dense")
    assert "quantization_config" not in json.loads((tmp_path / "d/config.json").read_text())


@pytest.mark.parametrize("spoil", ["a scale is missing", "a scale of another shape"])
def test_weights_whose_scales_are_unknown_stay_refused(
    spoil: str, make_triple_here: dict[str, Path], tmp_path: Path
) -> None:
    quantize(make_triple_here["sft"], "block")
    path = make_triple_here["sft"] / "model.safetensors"
    tensors = load_file(path)
    name = next(n for n in tensors if n.endswith("_scale_inv"))
    scale = tensors.pop(name)
    if spoil != "a scale is missing":
        tensors[name] = scale[:1]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(RvecError, match="quantized"):
        rv.merge(text(make_triple_here), tmp_path / "out", dequantize=True)


def test_mergekits_planner_cannot_read_it(
    make_triple_here: dict[str, Path], tmp_path: Path
) -> None:
    quantize(make_triple_here["sft"], "block")
    layers = "".join(
        f"      - {{model: {make_triple_here[r]}, layer_range: [0, 2]{p}}}\n"
        for r, p in (
            ("target", ""),
            ("grpo", ", parameters: {role: grpo}"),
            ("sft", ", parameters: {role: sft}"),
        )
    )
    recipe = (
        f"merge_method: reasoning_vector\nbase_model: {make_triple_here['target']}\n"
        f"slices:\n  - sources:\n{layers}parameters: {{scale: 1.0}}\nout_dtype: float32\n"
    )
    with pytest.raises(RvecError, match="quantized"):
        rv.merge(recipe, tmp_path / "out", dequantize=True)


def test_a_base_in_fp8_behind_an_adapter_is_asked_for_too_and_cancels(
    make_triple_here: dict[str, Path], tmp_path: Path
) -> None:
    from tests.preflight.mutations import adapter

    base = make_triple_here["sft"]
    quantize(base, "block")
    adapter(tmp_path / "lora", str(base))
    pair = {"grpo": str(tmp_path / "lora"), "sft": str(base)}
    with pytest.raises(RvecError, match=r"(?s)base is in FP8.*--dequantize"):
        rv.extract(None, tmp_path / "v", **pair)
    assert not (tmp_path / "v").exists()
    rv.extract(None, tmp_path / "v", dequantize=True, **pair)
    found = rv.inspect(tmp_path / "v").rows
    (row,) = (row for row in found if row.measured.nonzero)
    # B · A of ones, of rank 2 and alpha 4: the base is not in it, nor its rounding.
    assert row.label == "model.layers.0.self_attn.q_proj.weight"
    assert row.measured.norm == pytest.approx(4 * 32, rel=1e-12)
