"""`rvec check --deep`: what a sample of the weights says of them, however they are stored."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2ForCausalLM

import rvec_merge as rv
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.preflight.deep import RUNS, SAMPLE, sample
from tests.architectures import make_architecture
from tests.conftest import RECIPE, make_triple
from tests.merge.test_regrouped import fused
from tests.preflight.conftest import Trio


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


def test_deep_tells_related_donors_from_strangers(trio: Trio) -> None:
    """The trio's donors are random weights of another seed than the target's."""
    text = trio.check("--deep").output
    assert text.count("A donor does not share the target's initialisation.") == 2
    related(trio)
    told = json.loads(trio.check("--deep", "--json").output)
    assert told["ok"]
    assert told["warnings"] == []
    sft = next(c for c in told["closeness"] if c["name"].startswith("sft"))
    assert 0 < sft["distance"] < 0.2
    assert sft["cosine"] > 0.98


def related(trio: Trio) -> None:
    """Make the target from the sft donor: a tenth of another random model on top."""
    sft = load_file(trio.folder("sft") / "model.safetensors")
    trio.edit_tensors(
        "target",
        lambda t: t.update({k: (sft[k].float() + 0.1 * v).bfloat16() for k, v in t.items()}),
    )


def test_deep_finds_copies_scaled_weights_and_nan(trio: Trio) -> None:
    related(trio)
    target = load_file(trio.folder("target") / "model.safetensors")
    trio.edit_tensors("sft", lambda t: t.update({k: 2 * v for k, v in target.items()}))
    assert "A donor's weights are of another size than the target's." in trio.check("--deep").output
    trio.edit_tensors("sft", lambda t: t.update({k: v.clone() for k, v in target.items()}))
    assert "this extrapolates its own training" in trio.check("--deep").output
    trio.edit_tensors("grpo", lambda t: t.update({k: v.clone() for k, v in target.items()}))
    assert "Two inputs hold the same weights." in trio.check("--deep").output
    trio.edit_tensors("sft", lambda t: t["model.norm.weight"].fill_(float("nan")))
    result = trio.check("--deep")
    assert "model.norm.weight: 32 of 32 sampled values are NaN or Inf" in result.output
    assert result.return_value == 1


def test_deep_sees_a_model_in_a_vectors_place(trio: Trio) -> None:
    related(trio)
    trio.recipe["models"] = [{"model": str(trio.folder("sft")), "parameters": {"role": "vector"}}]
    assert "looks like a model, not like a difference" in trio.check("--deep").output


def test_a_sample_is_spread_over_the_whole_tensor(tmp_path: Path) -> None:
    values = torch.arange(3 * SAMPLE + 7, dtype=torch.float32)
    save_file({"a": values}, tmp_path / "model.safetensors")
    got = sample(Checkpoint.open(tmp_path).source("a"))
    assert len(got) == len(set(got.tolist())) == SAMPLE
    assert (got[0], got[-1]) == (0, float(values[-1]))
    gaps = (got[1:] - got[:-1] != 1).sum()
    assert gaps == RUNS - 1
