"""What a recipe says, wherever it says it."""

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.config import RecipeConfig, declared_donors

SOURCES = [
    {"model": name, "layer_range": [0, 2], "parameters": parameters}
    for name, parameters in (("t", None), ("g", {"role": "grpo"}), ("s", {"role": "sft"}))
]
SLICED = {
    "merge_method": "reasoning_vector",
    "base_model": "t",
    "modules": {"text": {"slices": [{"sources": SOURCES, "parameters": {"scale": 0.5}}]}},
    "parameters": {"scale": 1.0},
}


def test_modules_slices_and_donors_are_all_named() -> None:
    config = RecipeConfig.model_validate(SLICED)
    assert config.is_sliced
    assert [str(model) for model in config.referenced_models()] == ["t", "g", "s"]
    blocks = {where: (given, own) for where, given, own in config.parameter_blocks()}
    assert blocks["modules.text.slices[0].parameters"] == ({"scale": 0.5}, False)
    assert blocks["g parameters"] == ({"role": "grpo"}, True)
    ((where, donors),) = declared_donors(config)
    assert where == "modules.text.slices[0]"
    assert [(str(donor.id), donor.role) for donor in donors] == [("g", "grpo"), ("s", "sft")]


def test_a_target_with_a_donors_parameters_is_refused() -> None:
    models = [{"model": "t", "parameters": {"role": "grpo"}}]
    config = RecipeConfig(merge_method="reasoning_vector", base_model="t", models=models)
    with pytest.raises(RecipeError, match="The target is listed as a donor"):
        list(declared_donors(config))


@pytest.mark.parametrize(
    ("asked", "kept"),
    [({"tokenizer_source": "base"}, True), ({"tokenizer": {"source": "base"}}, True),
     ({"tokenizer": {"source": "base", "tokens": {"a": {}}}}, False), ({}, False),
     ({"tokenizer_source": "union"}, False)],
)  # fmt: skip
def test_the_targets_rows_are_kept_where_that_alone_is_asked(asked: dict, kept: bool) -> None:
    config = RecipeConfig.model_validate({"merge_method": "x", **asked})
    assert config.rows_of_target is kept
    assert config.asks_for_tokenizer is bool(asked)
