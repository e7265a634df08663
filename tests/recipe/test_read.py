"""A recipe as read: its names, and a text in which others stand."""

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.read import parse_recipe, read_recipe

TEXT = """\
merge_method: reasoning_vector   # ours
base_model: &t org/target@main
models:
  - {model: *t, parameters: {role: sft}}
  - model: 'org/grpo+org/lora'
    parameters: {role: grpo}
parameters: {scale: 1.0}
tokenizer_source: base
"""


def test_names_are_written_anew_and_everything_else_stays() -> None:
    recipe = parse_recipe(TEXT)
    assert recipe.named_models() == ["org/grpo", "org/lora", "org/target@main"]
    moved = recipe.renamed({"org/lora": "here/lora", "org/target@main": "there"})
    expected = TEXT.replace("&t org/target@main", "&t there")
    assert moved.text == expected.replace("'org/grpo+org/lora'", "org/grpo+here/lora")
    assert parse_recipe(moved.text).config == moved.config
    assert moved.named_models() == ["org/grpo", "here/lora", "there"]
    assert moved.config.tokenizer_source == "base"


def test_the_target_may_be_its_own_sft_donor() -> None:
    ((pair,),) = parse_recipe(TEXT).pairs()
    assert (str(pair.grpo), str(pair.sft)) == ("org/grpo+org/lora", "org/target@main")


@pytest.mark.parametrize("text", ["- a\n", "merge_method: [1]\n", "\xff"])
def test_what_is_no_recipe(text: str, tmp_path) -> None:
    (tmp_path / "r.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(RecipeError) as caught:
        read_recipe(tmp_path / "r.yaml")
    assert str(tmp_path / "r.yaml") in str(caught.value)
