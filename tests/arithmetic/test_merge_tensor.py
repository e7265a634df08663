"""The kernel against a float64 oracle written here, on every dtype mix, shape and block size."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rvec_merge.arithmetic.controls import Control
from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.merge_tensor import merge_tensor
from rvec_merge.errors import IncompatibleTensorsError, NonFiniteError

FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
SHAPES = ((), (0,), (1,), (7,), (3, 5), (2, 0, 3), (129, 33))
# float32 keeps 24 bits: half a unit in the last place of a value x is |x| · 2^-24 at most.
HALF_ULP_32 = 2.0**-24


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def draw(shape, dtype, seed, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * spread).to(dtype)


def oracle(target, deltas, half_ulp=HALF_ULP_32):
    """The formula in float64, unrounded, and a bound on what the accumulation may be off."""
    total = target.double()
    slack = torch.zeros_like(total)
    for delta in deltas:
        minus = 0 if delta.minus is None else delta.minus.double()
        difference = delta.plus.double() - minus
        part = difference * delta.coefficient
        total = total + part
        # One rounding each of the difference, the coefficient, the product and the sum.
        slack += half_ulp * (3.1 * part.abs() + 1.1 * total.abs())
    return total, slack


def assert_rounded_once(result, total, slack):
    """Each element is the value of its dtype nearest to a number within ``slack`` of the oracle."""
    rounded_low, rounded_high = (nearest(total + s * slack, result.dtype) for s in (-1, 1))
    value = result.double()
    wrong = (value < rounded_low) | (value > rounded_high)
    assert not wrong.any(), f"{int(wrong.sum())} of {wrong.numel()} elements are rounded twice"


def nearest(values, dtype):
    """Round float64 to ``dtype`` once, to nearest even (torch goes by way of float32)."""
    if dtype == torch.float64:
        return values
    if dtype == torch.float32:
        return torch.from_numpy(values.numpy().astype(np.float32)).double()
    if dtype == torch.float16:
        return torch.from_numpy(values.numpy().astype(np.float16)).double()
    _, exponent = torch.frexp(values)
    unit = torch.ldexp(torch.ones_like(values), (exponent - 8).clamp(min=-133))
    return torch.round(values / unit) * unit


@settings(max_examples=150, deadline=None)
@given(
    dtypes=st.tuples(*[st.sampled_from(FLOATS)] * 3),
    out=st.sampled_from((*FLOATS, None)),
    shape=st.sampled_from(SHAPES),
    coefficient=st.sampled_from((-1.5, -1.0, 0.3, 0.7, 1.0, 1e-3)),
    seed=st.integers(0, 99),
)
def test_is_the_float64_result_rounded_once(dtypes, out, shape, coefficient, seed):
    target, sft = draw(shape, dtypes[0], seed), draw(shape, dtypes[2], seed + 1)
    grpo = (sft.double() + draw(shape, torch.float64, seed + 2, 1e-2)).to(dtypes[1])
    deltas = [Delta(grpo, sft, coefficient)]
    result = merge_tensor(target, deltas, out_dtype=out)
    wide = torch.float64 in dtypes
    assert result.dtype == (out or (torch.float64 if wide else torch.float32))
    assert result.shape == target.shape
    # Torch, and so mergekit, goes from float64 to 16 bits by way of float32.
    exact = wide and result.dtype in {torch.float32, torch.float64}
    assert_rounded_once(result, *oracle(target, deltas, 2.0**-53 if exact else HALF_ULP_32))


def test_a_bf16_merge_differs_from_the_oracle_only_at_float32s_own_ties():
    target, sft = draw(10**6, torch.bfloat16, 0), draw(10**6, torch.bfloat16, 1)
    grpo = (sft.float() + draw(10**6, torch.float32, 2, 1e-3)).bfloat16()
    for scale in (1.0, -1.0, 0.7):
        delta = Delta(grpo, sft, scale)
        merged = merge_tensor(target, [delta], out_dtype=torch.bfloat16)
        total, _ = oracle(target, [Delta(grpo, sft, float(np.float32(scale)))])
        differs = merged.double() != nearest(total, torch.bfloat16)
        # bf16 is float32 without its last 16 bits: a tie has exactly the topmost of them set.
        unrounded = merge_tensor(target, [delta]).view(torch.int32)
        assert ((unrounded[differs] & 0xFFFF) == 0x8000).all()
        assert differs.float().mean() < 1e-3


@settings(max_examples=40, deadline=None)
@given(
    block=st.integers(1, 1500),
    threads=st.integers(1, 5),
    count=st.integers(0, 2000),
    pairs=st.integers(1, 3),
)
def test_neither_block_size_nor_threads_change_a_bit(block, threads, count, pairs):
    target = draw(count, torch.bfloat16, 0)
    deltas = [
        Delta(draw(count, torch.bfloat16, 2 * i + 1), draw(count, torch.float32, 2 * i + 2), 0.3)
        for i in range(pairs)
    ]
    whole = merge_tensor(target, deltas, block=1 << 20)
    assert bits(merge_tensor(target, deltas, block=block, threads=threads)) == bits(whole)


def test_the_thread_count_changes_no_bit():
    count = 3 * (1 << 18) + 11
    target, sft, grpo = (draw(count, torch.bfloat16, seed) for seed in range(3))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            for control in (None, Control("random", 0, "w"), Control("permuted", 0, "w")):
                delta = Delta(grpo, sft, 0.7, control=control)
                results.append((control, bits(merge_tensor(target, [delta]))))
    finally:
        torch.set_num_threads(before)
    assert len(set(results)) == 3


def test_scale_zero_returns_the_targets_bits():
    target = draw(1000, torch.bfloat16, 0)
    target[:10] = -0.0
    delta = Delta(draw(1000, torch.float32, 1), draw(1000, torch.float16, 2), 0.0)
    assert bits(merge_tensor(target, [delta], out_dtype=torch.bfloat16)) == bits(target)


def test_swapping_donors_negates_the_vector():
    target, sft, grpo = (draw(999, torch.bfloat16, seed) for seed in range(3))
    forward = merge_tensor(target, [Delta(grpo, sft, 0.7)])
    assert bits(forward) == bits(merge_tensor(target, [Delta(sft, grpo, -0.7)]))


def test_scale_is_linear_to_one_rounding():
    sft, grpo = draw(999, torch.float32, 1), draw(999, torch.float32, 2)
    zero = torch.zeros(999)
    one = merge_tensor(zero, [Delta(grpo, sft, 1.0)])
    two = merge_tensor(zero, [Delta(grpo, sft, 2.0)])
    assert torch.equal(two, 2 * one)


def test_inputs_are_never_written():
    inputs = [draw((65, 31), dtype, i) for i, dtype in enumerate(FLOATS[:3])]
    before = [bits(t) for t in inputs]
    target, grpo, sft = inputs
    merge_tensor(target, [Delta(grpo, sft, 0.5, density=0.3), Delta(sft, None, 2.0)])
    assert [bits(t) for t in inputs] == before


def test_non_contiguous_inputs_give_the_same_bits():
    target, sft, grpo = (draw((40, 30), torch.bfloat16, seed) for seed in range(3))
    plain = merge_tensor(target.t().contiguous(), [Delta(grpo.t().contiguous(), sft.t(), 0.7)])
    assert bits(merge_tensor(target.t(), [Delta(grpo.t(), sft.t(), 0.7)])) == bits(plain)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["target", "grpo", "sft"])
@pytest.mark.parametrize("scale", [0.0, 1.0])
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_non_finite_input_is_named(bad, where, scale, density):
    tensors = {
        name: draw(300_000, torch.bfloat16, i) for i, name in enumerate(("target", "grpo", "sft"))
    }
    tensors[where][299_000] = bad
    delta = Delta(tensors["grpo"], tensors["sft"], scale, density=density)
    with pytest.raises(NonFiniteError, match=rf"layer\.w(.|\n)*{where}: 1 of 300000"):
        merge_tensor(tensors["target"], [delta], name="layer.w")


def test_a_finite_sum_of_large_values_is_no_error():
    large = torch.full((1000,), 3e38)
    assert torch.equal(merge_tensor(large, [Delta(large, large, 1.0)]), large)


def test_overflow_is_an_error():
    large = torch.full((10,), 3e38)
    with pytest.raises(NonFiniteError, match="overflows"):
        merge_tensor(large, [Delta(large, torch.zeros(10), 1.0)])
    half = torch.full((10,), 6e4)
    with pytest.raises(NonFiniteError, match="overflows"):
        merge_tensor(half, [Delta(half, torch.zeros(10), 1.0)], out_dtype=torch.float16)
    largest = torch.full((10,), torch.finfo(torch.float32).max)
    with pytest.raises(NonFiniteError, match="overflows"):
        merge_tensor(largest, [Delta(half, None, 0.0)], out_dtype=torch.bfloat16)
    wide = torch.full((10,), 1e39, dtype=torch.float64)
    with pytest.raises(NonFiniteError, match="overflows"):
        merge_tensor(wide, [Delta(half, None, 0.0)], out_dtype=torch.float32)


def test_shapes_and_dtypes_must_fit():
    with pytest.raises(IncompatibleTensorsError, match=r"sft\s+\(4,\)"):
        merge_tensor(torch.zeros(3), [Delta(torch.zeros(3), torch.zeros(4), 1.0)])
    for dtype in (torch.int64, torch.float8_e4m3fn):
        with pytest.raises(IncompatibleTensorsError, match=str(dtype).removeprefix("torch.")):
            merge_tensor(torch.zeros(3), [Delta(torch.zeros(3, dtype=dtype), None, 1.0)])


def test_a_worked_example():
    # Exact in every format: 1 + 0.5 · (3 − 1) = 2.
    one, three = torch.tensor([1.0]), torch.tensor([3.0])
    merged = merge_tensor(one, [Delta(three, one, 0.5)])
    assert merged.item() == Fraction(1) + Fraction(1, 2) * (3 - 1)
