"""A plan from names alone: how deep a tensor lies, and what is no weight."""

from pathlib import Path

import pytest

from rvec_merge.arithmetic.dtypes import FLOAT32
from rvec_merge.checkpoint.tensor import TensorInfo
from rvec_merge.plan.by_names import Depths, is_constant


@pytest.mark.parametrize(
    ("names", "config", "depths"),
    [
        # A layer beyond those that the config counts predicts further tokens: it is the last too.
        (
            [f"model.layers.{i}.w" for i in range(4)],
            {"num_hidden_layers": 3, "num_nextn_predict_layers": 1},
            [0, 0.5, 1, 1],
        ),
        # Each tower has a length of its own; a list that no config counts is no list of layers.
        (["visual.blocks.1.w", "model.layers.1.w", "model.layers.4.w"], {}, [1, 0.25, 1]),
        (["encoder.0.w", "encoder.2.w"], {"encoder_depth": 3}, [0, 1]),
        (["experts.0.w", "experts.7.w"], {"num_hidden_layers": 3}, [0, 0]),
        (["h.0.w", "wte.weight"], {"n_layer": 1}, [1, 0]),
    ],
)
def test_depths(names: list[str], config: dict[str, int], depths: list[float]) -> None:
    found = Depths(names, config)
    assert [found.of(name) for name in names] == depths


@pytest.mark.parametrize(
    ("name", "shape", "constant"),
    [
        ("model.layers.0.self_attn.rotary_emb.inv_freq", (8,), True),
        ("h.0.attn.bias", (1, 1, 64, 64), True),
        ("h.0.attn.bias", (64,), False),  # a weight of a like name
        ("h.0.attn.masked_bias", (), True),
    ],
)
def test_constants_are_told_from_weights_by_their_rank(
    name: str, shape: tuple[int, ...], constant: bool
) -> None:
    assert is_constant(TensorInfo(name, FLOAT32, shape, Path("x"), 0, 0)) is constant
