"""Two adapters on one base become one, and PEFT gives what the two differ by."""

import json
from pathlib import Path

import pytest
import torch

import rvec_merge as rv
from rvec_merge.errors import RecipeError
from tests.checkpoint.test_adapted import _adapt
from tests.conftest import load_tensors

PATTERNS = {
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "rank_pattern": {"v_proj": 2},
    "alpha_pattern": {"layers.1.self_attn.q_proj": 3},
}


def merged_by_peft(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).double()
    return PeftModel.from_pretrained(model, adapter).double().merge_and_unload().state_dict()


def check(root: Path, wanted: dict[str, torch.Tensor], names: set[str]) -> None:
    """The adapter in ``root/out`` adds ``wanted`` to the base, and nothing elsewhere."""
    base = load_tensors(root / "base")
    found = merged_by_peft(root / "base", root / "out")
    changed = set()
    for name, value in base.items():
        added = found[name] - value.double()
        torch.testing.assert_close(added, wanted[name], rtol=1e-6, atol=1e-9)
        changed |= {name} if added.any() else set()
    parts = {n for n in base if n.endswith("weight") and any(part in n for part in names)}
    assert changed == parts


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_the_difference_of_two_adapters(kind: str, tmp_path: Path) -> None:
    plus = PATTERNS if kind == "qwen2" else {"target_modules": ["c_attn", "c_proj"]}
    minus = {"target_modules": ["q_proj", "o_proj"]} if kind == "qwen2" else plus
    grpo = _adapt(tmp_path, "grpo", kind=kind, seed=1, **plus)
    sft = _adapt(tmp_path, "sft", kind=kind, seed=2, **minus)
    made = rv.extract(
        None,
        tmp_path / "out",
        grpo=f"{tmp_path / 'base'}+{tmp_path / 'grpo'}",
        sft=str(tmp_path / "sft"),  # which names its base
        format="lora",
    )
    assert made.facts["rank"] == 8
    assert made.facts["relative_residual"] < 1e-6
    wanted = {name: grpo[name] - sft[name] for name in load_tensors(tmp_path / "base")}
    check(tmp_path, wanted, {"q_proj", "v_proj", "down_proj", "o_proj", "c_attn", "c_proj"})
    config = json.loads((tmp_path / "out/adapter_config.json").read_text())
    assert (config["task_type"], config["r"]) == ("CAUSAL_LM", 8)
    if kind == "qwen2":
        assert config["rank_pattern"]["model.layers.0.self_attn.v_proj"] == 2


def test_an_adapter_minus_its_base_is_the_adapter(tmp_path: Path) -> None:
    grpo = _adapt(tmp_path, "grpo", **PATTERNS)
    pair = {"grpo": str(tmp_path / "grpo"), "sft": str(tmp_path / "base")}
    made = rv.extract(None, tmp_path / "out", format="lora", **pair)
    assert made.facts["rank"] == 4
    base = load_tensors(tmp_path / "base")
    check(tmp_path, {n: grpo[n] - base[n].double() for n in base}, {"q_", "v_", "down_"})


def test_it_merges_to_what_the_two_give(tmp_path: Path) -> None:
    """As one adapter on a target that is their base, in rvec merge."""
    _adapt(tmp_path, "grpo", seed=1, **PATTERNS)
    _adapt(tmp_path, "sft", seed=2, **PATTERNS)
    pair = {role: str(tmp_path / role) for role in ("grpo", "sft")}
    rv.extract(None, tmp_path / "out", format="lora", **pair)
    recipe = """
merge_method: reasoning_vector
base_model: {base}
models:
  - {{model: {plus}, parameters: {{role: grpo}}}}
  - {{model: {minus}, parameters: {{role: sft}}}}
parameters: {{scale: 1.0}}
out_dtype: float32
"""
    base = tmp_path / "base"
    two = recipe.format(base=base, plus=tmp_path / "grpo", minus=tmp_path / "sft")
    one = recipe.format(base=base, plus=tmp_path / "out", minus=base)
    rv.merge(two, tmp_path / "two")
    # What a target was tuned from is no donor of its own: so its copy is named.
    import shutil

    shutil.copytree(base, tmp_path / "copy")
    rv.merge(one.replace(f"model: {base},", f"model: {tmp_path / 'copy'},"), tmp_path / "one")
    a, b = load_tensors(tmp_path / "two"), load_tensors(tmp_path / "one")
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"target_modules": ["embed_tokens"]}, "an embedding"),
        ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, "stored whole"),
        ({"target_modules": ["q_proj"], "lora_bias": True}, "a bias"),
    ],
)
def test_what_is_no_product_of_a_layer_is_refused(
    config: dict[str, object], said: str, tmp_path: Path
) -> None:
    _adapt(tmp_path, "grpo", **config)
    pair = {"grpo": str(tmp_path / "grpo"), "sft": str(tmp_path / "base")}
    with pytest.raises(RecipeError, match=rf"(?s)more than products.*{said}.*compact"):
        rv.extract(None, tmp_path / "out", format="lora", **pair)
    assert not (tmp_path / "out").exists()


def test_donors_that_are_models_need_a_rank(triple: dict[str, Path], tmp_path: Path) -> None:
    pair = {role: str(triple[role]) for role in ("grpo", "sft")}
    with pytest.raises(RecipeError, match="--rank R"):
        rv.extract(None, tmp_path / "out", format="lora", **pair)
