"""`rvec check --deep` reads what the merge reads, where an input's weights are made of others."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2ForCausalLM

import rvec_merge as rv
from tests.architectures import make_architecture
from tests.conftest import RECIPE, make_triple
from tests.merge.test_regrouped import fused


def adapter_on(base: Path, folder: Path) -> str:
    """An adapter of one module of a layer, and how a recipe names it."""
    wrapped = get_peft_model(
        Qwen2ForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules=["q_proj"])
    )
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)
    wrapped.save_pretrained(folder)
    return f"{base}+{folder}"


@pytest.fixture
def adapted(tmp_path: Path) -> dict[str, object]:
    triple = make_triple(tmp_path / "triple")
    return {**triple, "grpo": adapter_on(triple["sft"], tmp_path / "lora")}


def text_for(inputs: dict[str, object]) -> str:
    return RECIPE.format(scale=1.0, out_dtype="float32", **inputs)


def test_an_adapter_is_no_copy_of_its_base(adapted: dict[str, object]) -> None:
    found = rv.check(text_for(adapted), deep=True)
    assert found.ok, found.errors
    grpo, sft = found.closeness
    attention = [name for name in grpo.tensors if "q_proj.weight" in name]
    assert len(attention) == 2
    for name, one in grpo.tensors.items():
        assert (one == sft.tensors[name]) == (name not in attention), name


def test_an_adapter_that_is_all_zero_is_a_copy(adapted: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "lora" / "adapter_model.safetensors"
    zero = {name: value * 0 for name, value in load_file(path).items()}
    save_file(zero, path, metadata={"format": "pt"})
    found = rv.check(text_for(adapted), deep=True)
    assert [error.headline for error in found.errors] == ["Two inputs hold the same weights."]


def test_experts_in_another_form_are_compared(tmp_path: Path) -> None:
    apart = make_architecture(tmp_path, "qwen3_moe")
    together = fused(apart["grpo"], tmp_path / "fused", "qwen3_moe")
    plain, mixed = (
        rv.check(text_for({**apart, "grpo": grpo}), deep=True) for grpo in (apart["grpo"], together)
    )
    assert plain.ok
    assert mixed.ok
    assert [c.tensors for c in mixed.closeness] == [c.tensors for c in plain.closeness]
    assert any("experts" in name for name in plain.closeness[0].tensors)
