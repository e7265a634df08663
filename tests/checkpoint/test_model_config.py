"""config.json: read without trust, and changed without touching what is not meant."""

import json

import pytest

from rvec_merge.checkpoint.model_config import (
    effective,
    tied,
    unbelievable,
    with_dtype,
    with_settings,
)

TEXT = '{\n    "dtype" : "float16",\n  "text_config": {"torch_dtype": "float16"},\t"a": "é"\n}'


def test_a_dtype_is_changed_wherever_it_is_stated_and_no_other_byte() -> None:
    assert with_dtype(TEXT, "float32") == TEXT.replace("float16", "float32")
    assert json.loads(with_dtype('{"a": 1}', "float32")) == {"a": 1, "dtype": "float32"}


def test_a_dtype_in_another_setting_stays() -> None:
    """What is quantized says of its own dtype, and a text may look like a setting."""
    config = {"dtype": "x", "quantization_config": {"dtype": "x"}, "a": '"dtype": "x"'}
    changed = json.loads(with_dtype(json.dumps(config), "float32"))
    assert changed == {**config, "dtype": "float32"}


def test_settings_of_nested_configs_and_none() -> None:
    assert with_settings(TEXT, {"dtype": "float16", "gone": None}) == TEXT
    changed = json.loads(with_settings(TEXT, {"text_config.num_layers": 3, "a": None}))
    assert changed["text_config"] == {"torch_dtype": "float16", "num_layers": 3}
    assert "a" not in changed


def test_a_tie_that_is_not_stated_is_the_architectures() -> None:
    assert tied({"model_type": "gemma"}) is True
    assert tied({"model_type": "llama"}) is False
    assert tied({}) is None


@pytest.mark.parametrize("config", [{"num_hidden_layers": 10**6}, {"x_config": {"model_type": []}}])
def test_what_transformers_is_not_given(config: dict[str, object]) -> None:
    assert len(unbelievable({**config, "model_type": "qwen2"} | config)) == 1
    assert effective(config)  # its own words, without transformers
