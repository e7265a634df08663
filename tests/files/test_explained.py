"""What is wrong with a recipe's values is said as its author writes them, not as pydantic does."""

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.read import parse_recipe

RECIPE = "merge_method: reasoning_vector\nbase_model: a\n"
DONORS = (
    "models: [{model: b, parameters: {role: grpo}}, {model: c, parameters: {role: sft}}]\n"
    "parameters: {scale: 1.0}\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("merge_method: reasoning_vector\nbase_model: 3\n" + DONORS, "base_model: a model is"),
        (RECIPE + "models: 7\n", "models: write a list (it is 7)"),
        (RECIPE + "models: [{model: b, parameters: 3}]\n", "write keys and values (it is 3)"),
        (RECIPE + DONORS + "dtype: 5\n", "dtype: write text (it is 5)"),
        (RECIPE + DONORS + "out_dtype: [float32]\n", "out_dtype: write text"),
        (RECIPE + DONORS + "slices: {}\n", "slices"),
    ],
)
def test_a_wrong_value(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    error = str(caught.value)
    assert said in error
    assert "Fix: " in error
    for word in ("Input should", "Value error", "pydantic", "type="):
        assert word not in error
