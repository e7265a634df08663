"""The method in mergekit: what it makes of its parameters' values."""

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.mergekit_plugin.method import reasoning_vector

PARAMETERS = {parameter.name: parameter for parameter in reasoning_vector.spec.parameters}


def test_seeds_beyond_a_floats_reach_stay_apart():
    assert PARAMETERS["seed"].validate(2**53 + 1) == 2**53 + 1
    assert PARAMETERS["seed"].validate(7.0) == 7


@pytest.mark.parametrize("value", [-1, 0.5, True, "x", float("inf")])
def test_what_is_no_seed(value):
    with pytest.raises(RecipeError, match="whole number"):
        PARAMETERS["seed"].validate(value)


def test_a_scale_beyond_all_floats():
    with pytest.raises(RecipeError, match="scale is not a number"):
        PARAMETERS["scale"].validate(10**400)
