"""An adapter that PEFT loads, and the loss that is reported for it."""

import json

import pytest
import torch

from rvec_merge.errors import RecipeError
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors, open_vector
from rvec_merge.vector.lora import extract_lora
from tests.conftest import load_tensors
from tests.vector.conftest import SHARD_SIZE


@pytest.fixture(scope="module")
def pair(triple):
    return open_donors(triple["grpo"], triple["sft"])


def test_peft_applies_it_and_the_residual_is_what_it_misses(pair, triple, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    report = extract_lora(pair, tmp_path / "adapter", rank=8)
    model = AutoModelForCausalLM.from_pretrained(triple["sft"], dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, tmp_path / "adapter").merge_and_unload().state_dict()
    grpo, sft = load_tensors(triple["grpo"]), load_tensors(triple["sft"])
    residuals = {module.tensor: module.residual for module in report.modules}
    lost = squares = 0.0
    for name in grpo:
        exact = grpo[name].float() - sft[name].float()
        if not exact.any():
            assert name not in residuals
            continue
        missed = exact - (merged[name] - sft[name].float())
        assert residuals[name] == pytest.approx(float(missed.norm() / exact.norm()), rel=1e-3)
        lost += float(missed.square().sum())
        squares += float(exact.square().sum())
    assert report.residual == pytest.approx((lost / squares) ** 0.5, rel=1e-3)
    assert 0.1 < residuals["model.layers.0.mlp.up_proj.weight"] < 1
    assert residuals["model.embed_tokens.weight"] == 1


def test_full_rank_loses_only_the_rounding(pair, tmp_path):
    report = extract_lora(pair, tmp_path / "adapter", rank=64)
    linear = [m for m in report.modules if "_proj.weight" in m.tensor]
    assert len(linear) == 14
    assert all(m.residual < 0.01 for m in linear)


def test_the_record_says_the_loss(pair, tmp_path):
    report = extract_lora(pair, tmp_path / "adapter", rank=4)
    record = json.loads((tmp_path / "adapter" / "rvec_extract.json").read_text())
    assert record["format"] == "lora"
    assert record["relative_residual"] == report.residual
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["r"] == 4
    assert config["base_model_name_or_path"] == pair.sft_name
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "adapter").iterdir()}
    assert modes == {(tmp_path / "adapter").stat().st_mode & 0o666}


def test_a_compact_vector_has_no_donors_to_extract_from(pair, tmp_path):
    extract_compact(pair, tmp_path / "v", shard_size=SHARD_SIZE)
    with pytest.raises(RecipeError, match="name both donors"):
        extract_lora(open_vector(tmp_path / "v"), tmp_path / "adapter", rank=4)
    assert not (tmp_path / "adapter").exists()
