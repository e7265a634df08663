"""What a recipe from the Hub may name."""

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.hub.recipes import open_recipe
from tests.conftest import RECIPE as LOCAL_RECIPE
from tests.hub.state import Hub


def test_pulled_recipes_name_the_hub_alone(hub: Hub, tmp_path, triple):
    text = LOCAL_RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16")
    hub.put("evil/recipe", {"recipe.yaml": text.encode()})
    with pytest.raises(RecipeError, match="names something on this machine"):
        open_recipe("hf://evil/recipe")


@pytest.mark.parametrize(
    "tokenizer",
    [
        "tokenizer_source: /etc",
        "tokenizer: {source: /etc}",
        "tokenizer: {source: base, tokens: {a: {source: /etc}}}",
        "tokenizer: {source: base, tokens: {a: {source: {kind: model_token, model: /etc, "
        "token: b}}}}",
    ],
)
def test_nor_do_they_take_a_tokenizer_from_here(hub: Hub, tokenizer):
    names = {"target": "org/target", "grpo": "org/grpo", "sft": "org/sft"}
    text = LOCAL_RECIPE.format(**names, scale=1.0, out_dtype="bfloat16")
    hub.put("evil/tokenizer", {"recipe.yaml": f"{text}{tokenizer}\n".encode()})
    with pytest.raises(RecipeError, match="names something on this machine"):
        open_recipe("hf://evil/tokenizer")
