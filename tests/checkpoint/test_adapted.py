"""An adapter on a base, against PEFT's own merge, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rvec_merge.arithmetic.dtypes import BFLOAT16, FLOAT32, rounded
from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.updates import LowRank, Zeros, without_common_base
from rvec_merge.checkpoint.adapted import Adapted, check_base, on_base
from rvec_merge.checkpoint.adapter import Adapter
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import CheckpointError, IncompatibleTensorsError
from tests.conftest import load_tensors

VARIANTS = {
    "plain": {"target_modules": ["q_proj", "down_proj"]},
    "patterns": {
        "target_modules": ["q_proj", "v_proj"],
        "rank_pattern": {"v_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 3},
    },
    "rslora": {"target_modules": ["q_proj"], "use_rslora": True},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "modules_to_save": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "lora_bias": {"target_modules": ["q_proj"], "lora_bias": True},
    "bias": {"target_modules": ["q_proj"], "bias": "all"},
}


def _model(kind: str = "qwen2", seed: int = 0):
    import transformers

    torch.manual_seed(seed)
    if kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2)
        return transformers.GPT2LMHeadModel(config)
    config = transformers.Qwen2Config(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=24, tie_word_embeddings=False,
    )  # fmt: skip
    return transformers.Qwen2ForCausalLM(config)


def _adapt(
    folder: Path, name: str, std: float = 0.05, kind: str = "qwen2", seed: int = 1, **config
):
    """Save an adapter on ``folder/base``, and return what PEFT merges it to in float64."""
    from peft import LoraConfig, PeftModel, get_peft_model

    if not (folder / "base").exists():
        _model(kind).save_pretrained(folder / "base")
    load = type(_model(kind)).from_pretrained
    wrapped = get_peft_model(load(folder / "base"), LoraConfig(r=4, lora_alpha=8, **config))
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in wrapped.parameters():
            if weight.requires_grad:
                weight.add_(std * torch.randn(weight.shape))
    wrapped.save_pretrained(folder / name)
    exact = PeftModel.from_pretrained(load(folder / "base"), folder / name).double()
    return exact.merge_and_unload().state_dict()


def _opened(folder: Path, name: str) -> Adapted:
    return on_base(Checkpoint.open(folder / "base"), Adapter.open(folder / name))


def _compare(found: Adapted, merged: dict[str, torch.Tensor]) -> int:
    changed = 0
    for name, info in found.tensors.items():
        source = found.source(name)
        values = source[: source.size].reshape(info.shape)
        assert values.dtype == info.dtype
        assert tuple(source.shape) == info.shape
        wanted = merged[name if name in merged else f"transformer.{name}"]
        np.testing.assert_allclose(values.astype(np.float64), wanted.numpy(), rtol=1e-6, atol=1e-8)
        before = found.base.source(name)
        changed += not np.array_equal(before[: before.size].reshape(info.shape), values)
    return changed


@pytest.mark.parametrize("variant", VARIANTS)
def test_peft_merges_the_same(tmp_path, variant):
    merged = _adapt(tmp_path, "lora", **VARIANTS[variant])
    assert _compare(_opened(tmp_path, "lora"), merged) >= 2


def test_layers_that_store_weights_the_other_way_round(tmp_path):
    merged = _adapt(tmp_path, "lora", kind="gpt2", target_modules=["c_attn", "c_proj"])
    assert _compare(_opened(tmp_path, "lora"), merged) == 6


def test_the_bits_are_the_same_for_every_window(tmp_path):
    _adapt(tmp_path, "lora", **VARIANTS["plain"])
    found = _opened(tmp_path, "lora")
    name = "model.layers.0.mlp.down_proj.weight"
    whole = found.source(name)[: 16 * 24].copy()
    for size in (1, 7, 24, 100):
        source = found.source(name)
        parts = [source[low : low + size].copy() for low in range(0, 16 * 24, size)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_a_common_base_is_not_read(tmp_path):
    _adapt(tmp_path, "one", **VARIANTS["plain"])
    _adapt(tmp_path, "two", seed=2, **VARIANTS["plain"])
    one, two = _opened(tmp_path, "one"), _opened(tmp_path, "two")
    name = "model.layers.0.self_attn.q_proj.weight"
    delta = without_common_base(Delta(one.source(name), two.source(name), 1.0))
    assert isinstance(delta.plus, LowRank)
    assert isinstance(delta.minus, LowRank)
    same = "model.layers.0.self_attn.k_proj.weight"
    assert isinstance(
        without_common_base(Delta(one.source(same), two.source(same), 1.0)).plus, Zeros
    )
    shutil.copytree(tmp_path / "base", tmp_path / "other")
    other = Checkpoint.open(tmp_path / "other").source(same)
    kept = without_common_base(Delta(one.source(same), other, 1.0))
    assert kept.minus is other


def test_a_small_update_survives_in_float32(tmp_path):
    """The size of 20 steps at a learning rate of 1e-5: most of it is less than a bf16 step."""
    _adapt(tmp_path, "lora", std=0.0, target_modules=["q_proj"])
    rows = {n: t.bfloat16() for n, t in load_tensors(tmp_path / "base").items()}
    save_file(rows, tmp_path / "base/model.safetensors", {"format": "pt"})
    factors = Adapter.open(tmp_path / "lora").modules
    torch.manual_seed(3)
    save_file(
        {p.name: (2e-5 if p is m.b else 0.1) * torch.randn(p.shape)
         for m in factors.values() for p in (m.a, m.b)},
        tmp_path / "lora/adapter_model.safetensors", {"format": "pt"},
    )  # fmt: skip
    found = _opened(tmp_path, "lora")
    kept = {}
    for name in found.updates:
        adapted, stored = found.source(name), found.base.source(name)
        update = adapted.update[: adapted.size].astype(np.float64)
        before = stored[: stored.size].astype(np.float64)
        after = adapted[: adapted.size]
        for dtype in (FLOAT32, BFLOAT16):
            left = float((rounded(after, dtype).astype(np.float64) - before) @ update)
            kept.setdefault(dtype, []).append((left, float(update @ update)))
    share = {d: sum(a for a, _ in p) / sum(b for _, b in p) for d, p in kept.items()}
    assert abs(share[FLOAT32] - 1) < 1e-3
    assert share[BFLOAT16] < 0.9


@pytest.mark.parametrize(
    "change",
    [{"use_dora": True}, {"init_lora_weights": "pissa"}, {"target_parameters": ["a"]},
     {"peft_type": "LOHA", "lora_alpha": None}, {"r": 3}],
)  # fmt: skip
def test_what_is_no_product_is_refused(tmp_path, change):
    _adapt(tmp_path, "lora", **VARIANTS["plain"])
    path = tmp_path / "lora/adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError):
        Adapter.open(tmp_path / "lora")


def test_a_base_that_is_not_the_adapters(tmp_path):
    _adapt(tmp_path, "lora", **VARIANTS["plain"])
    base, adapter = Checkpoint.open(tmp_path / "base"), Adapter.open(tmp_path / "lora")
    assert check_base(adapter, str(tmp_path / "base"), base) is None
    shutil.copytree(tmp_path / "base", tmp_path / "other")
    other = Checkpoint.open(tmp_path / "other")
    with pytest.raises(CheckpointError, match="another base"):
        check_base(adapter, str(tmp_path / "other"), other)
    shutil.rmtree(tmp_path / "base")
    assert check_base(adapter, str(tmp_path / "other"), other) == adapter.base
    _model("gpt2").save_pretrained(tmp_path / "gpt2")
    with pytest.raises(IncompatibleTensorsError, match="8 of 8 tensors of an adapter fit no"):
        on_base(Checkpoint.open(tmp_path / "gpt2"), adapter)
