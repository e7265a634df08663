"""Values of the method's parameters."""

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.parameters import _VALIDATORS


def test_seeds_beyond_a_floats_reach_stay_apart():
    seed = _VALIDATORS["seed"]
    assert seed("seed", 2**53 + 1) == 2**53 + 1
    assert seed("seed", 7.0) == 7


@pytest.mark.parametrize("value", [-1, 0.5, True, "x", float("inf")])
def test_what_is_no_seed(value):
    with pytest.raises(RecipeError):
        _VALIDATORS["seed"]("seed", value)


def test_a_scale_beyond_all_floats():
    with pytest.raises(RecipeError, match="scale is not a number"):
        _VALIDATORS["scale"]("scale", 10**400)
