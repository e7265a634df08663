"""YAML from strangers: whatever the text says, plain data or an error in three parts."""

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.yaml import load_yaml


@pytest.mark.parametrize(
    "value",
    ["!!bool maybe", "!!int ''", "!!float ''", "!!timestamp x", "1:" * 999 + "1.5", "? [a]\n: 1"],
)
def test_a_scalar_that_is_not_what_its_tag_says_is_no_valid_yaml(value: str) -> None:
    with pytest.raises(RecipeError, match=r"not valid YAML(.|\n)*a recipe(.|\n)*Fix: "):
        load_yaml(f"scale: {value}" if value[0] != "?" else value, source="a recipe")


@pytest.mark.parametrize("value", ["0x" + "f" * 5000, "9" * 5000])
def test_an_integer_that_python_would_not_print_is_refused(value: str) -> None:
    with pytest.raises(RecipeError, match="too many digits"):
        load_yaml(f"scale: {value}", source="a recipe")


def test_long_text_repeated_by_aliases_is_refused() -> None:
    text = f"a: &a {'x' * 10_000}\nb: [{', '.join(['*a'] * 1000)}]"
    with pytest.raises(RecipeError, match="too many nodes"):
        load_yaml(text, source="a recipe")
