"""An adapter's configuration, against PEFT's own reading of it."""

import json
from dataclasses import fields

import pytest

from rvec_merge.checkpoint.adapter_config import REFUSED, SILENT, LoraSettings, read_settings
from rvec_merge.errors import CheckpointError


def _write(folder, **changes):
    from peft import LoraConfig

    LoraConfig(target_modules=["q_proj"], r=4, lora_alpha=8).save_pretrained(folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_every_setting_of_the_installed_peft_is_known():
    from peft import LoraConfig

    known = {*LoraSettings.model_fields, *SILENT, *REFUSED}
    assert {field.name for field in fields(LoraConfig)} - known == set()


def test_defaults_are_those_of_peft():
    from peft import LoraConfig

    ours, theirs = LoraSettings(peft_type="LORA"), LoraConfig()
    for name in {*LoraSettings.model_fields} - {"peft_type"}:
        assert (getattr(ours, name) or None) == (getattr(theirs, name) or None), name


@pytest.mark.parametrize(
    "pattern",
    ["v_proj", "layers.1.self_attn.q_proj", r".*\.layers\.[0-1]\..*", "^model.*", "nothing"],
)
@pytest.mark.parametrize("rslora", [False, True])
def test_ranks_and_scales_are_those_of_peft(pattern, rslora):
    """Of modules as PEFT itself makes them."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=8, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, intermediate_size=8,
        )
    )  # fmt: skip
    stated = {
        "r": 4, "lora_alpha": 6, "rank_pattern": {pattern: 2}, "alpha_pattern": {pattern: 3},
        "use_rslora": rslora,
    }  # fmt: skip
    wrapped = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"], **stated))
    settings = LoraSettings(peft_type="LORA", **stated)
    seen = 0
    for name, module in wrapped.named_modules():
        if hasattr(module, "lora_A"):
            found = settings.scale_of(name.removeprefix("base_model.model."))
            assert found == (module.r["default"], pytest.approx(module.scaling["default"]))
            seen += 1
    assert seen == 4


def test_a_setting_that_nobody_knows_is_refused(tmp_path):
    """peft drops it with a warning, and would read the adapter as another one than was trained."""
    _write(tmp_path, use_future_lora=True)
    with pytest.raises(CheckpointError, match="more than a product") as error:
        read_settings(tmp_path)
    assert any("use_future_lora: not known" in fact for fact in error.value.facts)


def test_a_setting_that_nobody_knows_and_that_is_off(tmp_path):
    _write(tmp_path, use_future_lora=False, future_config=None, future_list=[])
    assert read_settings(tmp_path).r == 4


@pytest.mark.parametrize(
    "change",
    [{"r": 0}, {"r": "8"}, {"rank_pattern": {"a": -1}}, {"lora_alpha": None}, {"r": True},
     {"alpha_pattern": ["a"]}, {"lora_alpha": float("nan")}, {"base_model_name_or_path": 3}],
)  # fmt: skip
def test_what_is_no_configuration(tmp_path, change):
    _write(tmp_path, **change)
    with pytest.raises(CheckpointError):
        read_settings(tmp_path)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(", ".*.*.*.*x", "a?a?a?a?aaaa", "(a|a)*b"])
def test_patterns_that_would_never_end_are_not_tried(tmp_path, pattern):
    _write(tmp_path, rank_pattern={pattern: 2})
    with pytest.raises(CheckpointError, match="more than a product") as error:
        read_settings(tmp_path)
    assert any("not tried" in fact for fact in error.value.facts)
