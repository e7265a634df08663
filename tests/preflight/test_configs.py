"""Configs that differ, and those in which they may on purpose."""

import json

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.preflight import configs
from tests.preflight.conftest import Trio
from tests.preflight.told import Errors, Mutation, Warnings

# mergekit itself stops at other architectures and absent configs.
ERRORS = {
    "architecture": Mutation(
        lambda t: t.edit_config("sft", architectures=["LlamaForCausalLM"], model_type="llama"),
        ("sft and target are not the same architecture.", 'sft ["LlamaForCausalLM"]'),
        stock=False,
    ),
    "hidden size": Mutation(
        lambda t: t.edit_config("grpo", hidden_size=64),
        ("grpo and target are not the same architecture.", "hidden_size: target 32, grpo 64"),
    ),
    "layer count": Mutation(
        lambda t: t.edit_config("grpo", num_hidden_layers=1, layer_types=None),
        ("num_hidden_layers: target 2, grpo 1",),
    ),
    "rope": Mutation(
        lambda t: t.edit_config(
            "grpo", rope_parameters={"rope_theta": 5e5, "rope_type": "default"}
        ),
        ("rope_parameters: target", '"rope_theta": 500000.0'),
    ),
    "activation": Mutation(
        lambda t: t.edit_config("sft", hidden_act="gelu"),
        ('hidden_act: target "silu", sft "gelu"',),
    ),
    "norm epsilon": Mutation(
        lambda t: t.edit_config("sft", rms_norm_eps=1e-5),
        ("rms_norm_eps: target 1e-06, sft 1e-05",),
    ),
    "no config": Mutation(
        lambda t: (t.folder("sft") / "config.json").unlink(),
        ("A model has no config.json.",),
        stock=False,
    ),
    "broken config": Mutation(
        lambda t: (t.folder("sft") / "config.json").write_text("{"),
        ("config.json cannot be read.",),
        stock=False,
    ),
    "layers without end": Mutation(
        lambda t: t.edit_config("sft", num_hidden_layers=10**5, layer_types=None),
        ("A config.json says what no model has.", "num_hidden_layers: 100000"),
    ),
    "a model type that is no text": Mutation(
        lambda t: t.edit_config("sft", model_type=[]),
        ("A config.json says what no model has.", "model_type: []"),
        stock=False,  # mergekit itself stops at it
    ),
    "remote code": Mutation(
        lambda t: t.edit_config(
            "sft", model_type="strange", auto_map={"AutoConfig": "configuration_strange.Strange"}
        ),
        ("sft and target are not the same architecture.", 'model_type: target "qwen2"'),
        stock=False,
    ),
}


WARNINGS = {
    "minor config": Mutation(
        lambda t: t.edit_config("sft", max_position_embeddings=128),
        ("The configs of sft and target differ.", "max_position_embeddings: target 64, sft 128"),
    ),
    "code that is not run": Mutation(
        lambda t: t.edit_config("sft", auto_map={"AutoConfig": "x.Y"}),
        ("A model names code of its own; it is not run.",),
        stock=False,  # mergekit's transformers refuses the missing x.py
    ),
}


ALLOWED = {
    "rope_parameters": {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}},
    "rms_norm_eps": {"rms_norm_eps": 1e-5},
    "hidden_act": {"hidden_act": "gelu"},
}


class TestErrors(Errors):
    TABLE = ERRORS


class TestWarnings(Warnings):
    TABLE = WARNINGS


@pytest.mark.parametrize("setting", ALLOWED)
def test_a_setting_that_differs_on_purpose_can_be_allowed(setting: str, trio: Trio) -> None:
    trio.edit_config("grpo", **ALLOWED[setting])
    assert f"rvec merge --allow {setting}" in trio.check().output
    others = [option for name in ALLOWED if name != setting for option in ("--allow", name)]
    assert trio.check(*others).return_value == 1
    allowed = trio.check("--allow", setting)
    assert allowed.return_value == 0
    assert f"{setting}: target" in allowed.output
    trio.merge("--allow", setting)
    assert json.loads((trio.out / "rvec_merge.json").read_text())["allowed"] == [setting]
    verified = CliRunner().invoke(rvec, ["verify", str(trio.out)], standalone_mode=False)
    assert "same bits" in verified.output


def test_what_changes_the_weights_cannot_be_allowed(trio: Trio) -> None:
    assert configs.ALLOWABLE < configs.DECISIVE
    trio.edit_config("grpo", hidden_size=64, rms_norm_eps=1e-5)
    assert "--allow" not in trio.check().output
    told = trio.check("--allow", "hidden_size", "--allow", "rms_norm_eps").output
    assert "Configs cannot be allowed to differ in hidden_size." in told
