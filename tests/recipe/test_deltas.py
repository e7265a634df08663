"""From pairs to arithmetic: which factor, and which draw, each pair's delta gets."""

import numpy as np

from rvec_merge.recipe.deltas import deltas

TENSORS = {name: np.full(4, i, np.float32) for i, name in enumerate("tgsv")}


def test_weight_times_scale_and_a_draw_of_its_own_for_each_pair() -> None:
    parameters = {
        "role": {"g": "grpo", "s": "sft", "v": "vector"}, "pair": dict.fromkeys("gsv", "default"),
        "weight": {"g": -0.5, "s": None, "v": None}, "scale": 2.0, "density": 0.25,
        "control": "random", "seed": 7,
    }  # fmt: skip
    pair, vector = deltas("w", TENSORS, "t", parameters)
    assert (pair.coefficient, vector.coefficient) == (-1.0, 2.0)
    assert (pair.plus[0], pair.minus[0], vector.plus[0], vector.minus) == (1, 2, 3, None)
    assert (pair.density, pair.control.seed, pair.control.name) == (0.25, 7, "w")
    assert pair.control != vector.control
    (plain, _) = deltas("w", TENSORS, "t", {**parameters, "control": "none"})
    assert plain.control is None
