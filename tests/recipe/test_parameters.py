"""What a parameter may be, and what it is for one tensor."""

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.config import RecipeConfig
from rvec_merge.recipe.parameters import MISSING, PARAMETERS, Resolver, evaluated

BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("scale", MISSING, "gives no scale"), ("scale", True, "scale is not a number"),
     ("weight", "nan", "weight is not a number"), ("density", 0, "out of range"),
     ("density", 1.5, "out of range"), ("role", "teacher", "Unknown role"),
     ("control", "shuffled", "Unknown control"), ("seed", 1.5, "seed is not a whole number"),
     ("seed", -1, "seed is not a whole number"), ("seed", False, "seed is not a whole number")],
)  # fmt: skip
def test_what_a_parameter_cannot_be(name: str, value: object, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        BY_NAME[name].validate(value)


def test_what_yaml_and_mergekit_write_for_a_value() -> None:
    assert BY_NAME["control"].validate(None) == "none"
    assert BY_NAME["seed"].validate((1 << 53) + 1) == (1 << 53) + 1  # not as a float
    assert BY_NAME["scale"].validate("1e-1") == 0.1


@pytest.mark.parametrize(
    ("name", "setting", "depth", "found"),
    [("scale", [0.0, 1.0, 0.0], 0.25, 0.5), ("scale", [0.0, 1.0], 1.0, 1.0),
     ("control", ["none", "random"], 0.5, "none"), ("control", ["none", "random"], 1.0, "random")],
)  # fmt: skip
def test_numbers_of_a_gradient_are_interpolated_and_words_are_not(
    name: str, setting: list, depth: float, found: object
) -> None:
    assert evaluated(BY_NAME[name], setting, "w", depth) == found


def test_the_first_filter_that_matches_decides_and_a_donors_own_value_goes_first() -> None:
    scale = [{"filter": "attn", "value": [0.0, 0.5]}, {"value": 2.0}]
    models = [
        {"model": "g", "parameters": {"role": "grpo", "weight": [{"filter": "mlp", "value": 3}]}}
    ]
    config = RecipeConfig(
        merge_method="x", base_model="t", models=models, parameters={"scale": scale, "weight": 9.0}
    )
    attn, mlp = (Resolver(config).parameters(f"l.{name}.w", 1.0) for name in ("attn", "mlp"))
    assert (attn["scale"], mlp["scale"]) == (0.5, 2.0)
    donor, _ = Resolver(config).inputs
    assert (attn["weight"][donor], mlp["weight"][donor]) == (9.0, 3.0)
