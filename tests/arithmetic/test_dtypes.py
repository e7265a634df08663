"""Dtypes of weights: what sums accumulate in, and what a number becomes in another of them."""

import numpy as np
import pytest
import torch

from rvec_merge.arithmetic.dtypes import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    WEIGHTS,
    accumulation_dtype,
    bits_of,
    rounded,
)
from rvec_merge.arithmetic.tensors import array_of

TORCH = {
    BFLOAT16: torch.bfloat16,
    FLOAT16: torch.float16,
    FLOAT32: torch.float32,
    FLOAT64: torch.float64,
}


def test_sums_are_of_float32_unless_an_input_is_wider():
    assert accumulation_dtype([BFLOAT16, FLOAT16]) == FLOAT32
    assert accumulation_dtype([BFLOAT16, FLOAT64]) == FLOAT64


@pytest.mark.parametrize("to", sorted(WEIGHTS, key=str))
@pytest.mark.parametrize("dtype", sorted(WEIGHTS, key=str))
def test_rounding_is_torchs(dtype, to):
    values = torch.randn(4096, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = (values * 3.0).to(TORCH[dtype])
    if dtype == FLOAT64 and to in (BFLOAT16, FLOAT16):
        wanted = values.float().to(TORCH[to])  # by way of float32, as torch goes
    else:
        wanted = values.to(TORCH[to])
    assert np.array_equal(bits_of(rounded(array_of(values), to)), bits_of(array_of(wanted)))


def test_bits_tell_the_two_zeros_apart():
    plus, minus = bits_of(np.array([0.0, -0.0], np.float32))
    assert plus != minus
