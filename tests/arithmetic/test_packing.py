"""Squeezing, measuring and spreading, against numpy, on this processor and on a plain one."""

import itertools
from functools import cache

import llvmlite.binding as llvm
import numpy as np
import pytest

from rvec_merge.arithmetic import fused
from rvec_merge.arithmetic.dtypes import BITS, SIXTEEN_BIT, WEIGHTS, accumulation_dtype
from rvec_merge.arithmetic.packing import SPARE, Squeezer, join, spread, squares_of

BLOCK = 3000
FLOATS = sorted(WEIGHTS, key=str)


# An engine frees the machine that it was made with, so that what is compiled here is kept.
_made_for_plain = cache(fused._made.__wrapped__)


@cache
def _plain_machine() -> llvm.TargetMachine:
    triple = llvm.get_process_triple()
    return llvm.Target.from_triple(triple).create_target_machine(opt=3, jit=True)


@pytest.fixture(params=["this", "plain"])
def processor(request, monkeypatch):
    """Kernels for the processor at hand, or for one that has no vectors beyond its oldest."""
    fused._machine()  # which prepares LLVM
    if request.param == "plain":
        monkeypatch.setattr(fused, "_machine", _plain_machine)
        monkeypatch.setattr(fused, "_made", _made_for_plain)
        monkeypatch.setattr(fused, "wide_registers", lambda: False)


def pair(n: int, plus, minus, seed: int = 0):
    """Two inputs that are equal in half of their elements and close in the others."""
    random = np.random.default_rng(seed)
    a = random.standard_normal(n).astype(np.float32).astype(plus)
    if minus is None:
        return a, None
    near = a.astype(np.float64) * (1 + 1e-3 * random.standard_normal(n))
    b = np.where(random.random(n) < 0.5, a.astype(np.float64), near)
    return a, b.astype(np.float32).astype(minus)


@pytest.mark.parametrize("n", [1, 15, 16, 17, BLOCK])
@pytest.mark.parametrize(("plus", "minus"), itertools.product(FLOATS, [*FLOATS, None]))
def test_what_is_kept_and_what_is_measured(processor, plus, minus, n):
    a, b = pair(n, plus, minus)
    found = Squeezer(BLOCK).squeeze(a, b)
    dtype = accumulation_dtype([x.dtype for x in (a, b) if x is not None])
    difference = a.astype(dtype) - (0 if b is None else b.astype(dtype))
    bits = difference.astype(dtype).view(BITS[dtype])
    kept = bits[bits != 0]
    low = (1 << (8 * bits.itemsize - 16)) - 1
    assert np.array_equal(found.values, kept)
    assert np.array_equal(found.bitmap, np.packbits(bits != 0, bitorder="little"))
    for plane, shift in zip(found.planes, (8, 16), strict=True):
        assert np.array_equal(plane, (kept >> (8 * bits.itemsize - shift)).astype(np.uint8))
    assert found.inexact == np.count_nonzero(bits & low)
    assert found.largest == np.abs(difference).max()
    exact = difference.astype(np.float64)
    assert found.squares == pytest.approx((exact**2).sum(), rel=1e-13)
    if b is None:
        assert np.isnan(found.weight_squares)
    else:
        assert found.weight_squares == pytest.approx((b.astype(np.float64) ** 2).sum(), rel=1e-13)
    if b is not None and a.dtype == b.dtype and a.dtype in SIXTEEN_BIT:
        steps = a.view(np.int16).astype(int) - b.view(np.int16)
        assert found.one_ulp == np.count_nonzero(np.abs(steps) == 1)
    else:
        assert found.one_ulp is None


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize("density", [0, 0.2, 1])
@pytest.mark.parametrize("n", [1, 17, BLOCK])
def test_spreading_undoes_squeezing(processor, n, density, dtype):
    random = np.random.default_rng(1)
    bits = random.integers(1, 1 << 31, n).astype(dtype)
    bits[random.random(n) >= density] = 0
    values = np.empty(n + SPARE, dtype)
    values[: np.count_nonzero(bits)] = bits[bits != 0]
    found, marked = spread(np.packbits(bits != 0, bitorder="little"), values, n)
    assert np.array_equal(found, bits)
    assert marked == np.count_nonzero(bits)


@pytest.mark.parametrize(("dtype", "planes"), [(np.uint32, 2), (np.uint32, 4), (np.uint64, 8)])
def test_planes_are_joined_the_most_significant_first(processor, dtype, planes):
    width = np.dtype(dtype).itemsize
    values = np.random.default_rng(2).integers(0, 1 << 63, BLOCK, np.uint64).astype(dtype)
    columns = values.view(np.uint8).reshape(-1, width)[:, ::-1]
    out = np.empty(BLOCK, dtype)
    join([np.ascontiguousarray(columns[:, p]) for p in range(planes)], out)
    mask = ((1 << (8 * planes)) - 1) << (8 * (width - planes))
    assert np.array_equal(out, values & dtype(mask))


@pytest.mark.parametrize("dtype", FLOATS)
def test_squares_have_one_order_on_every_processor(processor, dtype):
    values, _ = pair(BLOCK + 5, dtype, None, seed=3)
    lanes = [0.0] * 16
    for place, value in enumerate(values.astype(np.float64).tolist()):
        lanes[place % 16] += value * value
    total = lanes[0]
    for lane in lanes[1:]:
        total += lane
    assert squares_of(values) == total


def test_what_is_not_finite_shows_in_the_squares():
    values = np.ones(40, np.float32)
    values[33] = np.nan
    assert np.isnan(Squeezer(BLOCK).squeeze(values).squares)
    values[33] = np.inf
    assert Squeezer(BLOCK).squeeze(values).squares == np.inf


def test_a_file_s_bytes_need_no_alignment():
    plain, _ = pair(BLOCK, FLOATS[0], None)
    moved = np.frombuffer(b"\0" + plain.tobytes(), plain.dtype, offset=1)
    assert np.array_equal(
        Squeezer(BLOCK).squeeze(moved).values, Squeezer(BLOCK).squeeze(plain).values
    )
