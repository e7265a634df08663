"""Every kernel against numpy, step by step: torch's passes and the fused one give these bits."""

import itertools

import numpy as np
import pytest
import torch

from rvec_merge.arithmetic import fused
from rvec_merge.arithmetic.ir import Part, Signature
from rvec_merge.arithmetic.on_cpu import merge_block, multiply, strips
from rvec_merge.arithmetic.on_device import DeviceKernel
from rvec_merge.arithmetic.tensors import array_of, numpy_dtype

FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
COUNT = 4099
KERNELS = {"fused": merge_block, "torch": DeviceKernel("cpu", COUNT).merge_arrays}
FUSED_STEPS = ("fma", "fmla", "fmadd", "fmls", "fmsub", "fnma", "fnms")  # of x86 and of Arm


def edges(dtype: torch.dtype) -> torch.Tensor:
    """Zeros of both signs, subnormals, ties and the largest numbers of a dtype."""
    info = torch.finfo(dtype)
    near = [1.0, 1 + info.eps, 1 - info.eps / 2, 3.0, 1 / 3, 0.1]
    small = [info.tiny, info.tiny * 1.5, info.smallest_normal / 2, info.tiny * info.eps]
    large = [info.max**0.5, 255.0, 65504.0, 2048.0]
    values = torch.tensor([0.0, *near, *small, *large], dtype=torch.float64)
    return torch.cat([values, -values]).to(dtype)


def drawn(dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Numbers of very different sizes, with the edges among them."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(-12, 6, (COUNT,), generator=generator).double()
    values = torch.randn(COUNT, dtype=torch.float64, generator=generator) * 2.0**sizes
    special = edges(dtype)
    places = torch.randperm(COUNT, generator=generator)[: 40 * len(special)]
    values = values.to(dtype)
    values[places] = special.repeat(40)
    return values


def wide(values: torch.Tensor, dtype: type) -> np.ndarray:
    """The values in numpy; every 16-bit number is one of float32."""
    if values.dtype == torch.bfloat16:
        bits = values.view(torch.int16).numpy().astype(np.uint16).astype(np.uint32)
        return (bits << 16).view(np.float32).astype(dtype)
    return values.numpy().astype(dtype)


def rounded(values: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The bits of the nearest numbers of a dtype; to 16 bits by way of float32."""
    if dtype == torch.float64:
        return values.astype(np.float64).view(np.uint64)
    single = values.astype(np.float32)
    if dtype == torch.float32:
        return single.view(np.uint32)
    if dtype == torch.float16:
        return single.astype(np.float16).view(np.uint16)
    bits = single.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def expected(target, pairs, coefficients, out_dtype, accumulated) -> np.ndarray:
    """The definition: one operation at a time, each rounded, multiply and add apart."""
    with np.errstate(over="ignore"):
        total = wide(target, accumulated)
        for (plus, minus), coefficient in zip(pairs, coefficients, strict=True):
            part = wide(plus, accumulated)
            if minus is not None:
                part = part - wide(minus, accumulated)
            if coefficient != 0:
                total = total + part * accumulated(coefficient)
        return rounded(total, out_dtype)


def bits(values: torch.Tensor) -> np.ndarray:
    return values.view(torch.uint8).numpy().view(f"u{values.dtype.itemsize}")


def run(kernel, target, pairs, coefficients, out, accumulated=torch.float32) -> bool:
    """A kernel over tensors' memory."""
    arrays = [(array_of(p), None if m is None else array_of(m)) for p, m in pairs]
    out, accumulated = array_of(out), numpy_dtype(accumulated)
    return kernel(array_of(target), arrays, coefficients, out, accumulated)


def check(kernel, target, pairs, coefficients, out_dtype) -> None:
    inputs = [target, *(t for pair in pairs for t in pair if t is not None)]
    is_wide = torch.float64 in {t.dtype for t in inputs}
    out = torch.empty(COUNT, dtype=out_dtype)
    accumulated = torch.float64 if is_wide else torch.float32
    finite = run(kernel, target, pairs, coefficients, out, accumulated)
    wanted = expected(target, pairs, coefficients, out_dtype, np.float64 if is_wide else np.float32)
    assert (bits(out) == wanted).all()
    assert finite == bool(torch.isfinite(out).all())


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("dtypes", itertools.product(FLOATS, repeat=3), ids=str)
def test_every_mix_has_the_bits_of_the_definition(kernel, dtypes):
    target, plus, minus = (drawn(dtype, seed) for seed, dtype in enumerate(dtypes))
    for out_dtype in FLOATS:
        for coefficient in (0.7, -1.0):
            check(kernel, target, [(plus, minus)], [coefficient], out_dtype)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_any_number_of_pairs_vectors_and_unused_deltas(kernel):
    target = drawn(torch.bfloat16, 0)
    for count in (0, 1, 2, 5, 12):
        pairs = [
            (drawn(FLOATS[i % 3], 2 * i + 1), None if i % 3 == 1 else drawn(FLOATS[i % 2], 2 * i))
            for i in range(count)
        ]
        coefficients = [(0.3, 0.0, -1.0, 1.0)[i % 4] for i in range(count)]
        for out_dtype in FLOATS:
            check(kernel, target, pairs, coefficients, out_dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_all_numbers_of_16_bits_are_read_and_rounded(dtype):
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(dtype)
    for out_dtype in FLOATS:
        out = torch.empty(1 << 16, dtype=out_dtype)
        assert not run(DeviceKernel("cpu", 1 << 16).merge_arrays, every, [], [], out)
        again = torch.empty_like(out)
        assert not run(merge_block, every, [], [], again)
        same = (bits(out) == bits(again)) | (torch.isnan(out) & torch.isnan(again)).numpy()
        assert same.all()
        assert torch.equal(torch.isnan(again), torch.isnan(every))


def test_a_product_is_rounded_before_it_is_added():
    # 1 − 2^-24 is exact in one fused step, and rounds to 1 where the product is rounded first.
    a = torch.full((100,), 1 + 2.0**-12)
    target = torch.full((100,), -(1 + 2.0**-11))
    fused_would_give = 2.0**-24
    for kernel in KERNELS.values():
        out = torch.empty(100)
        run(kernel, target, [(a, None)], [1 + 2.0**-12], out)
        assert (out == 0).all()
    exact = a.double() * (1 + 2.0**-12) + target.double()
    assert (exact == fused_would_give).all()


@pytest.mark.parametrize("kinds", itertools.product(("BF16", "F16", "F32", "F64"), repeat=2))
@pytest.mark.parametrize("measures", [False, True])
def test_no_instruction_multiplies_and_adds_at_once(kinds, measures):
    kind, out = kinds
    made = Signature(kind, (Part(kind, kind), Part("F32")), out, kind == "F64", measures)
    assembly = fused.assembly(made).lower()
    assert "mul" in assembly
    assert [step for step in FUSED_STEPS if step in assembly] == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("coefficient", [0.0, 0.5])
@pytest.mark.parametrize("out_dtype", FLOATS)
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_what_is_not_finite_is_seen_in_every_place(kernel, bad, place, coefficient, out_dtype):
    for dtype in FLOATS:
        for element in (0, 17, COUNT - 1):
            inputs = [torch.ones(COUNT, dtype=dtype) for _ in range(3)]
            inputs[place][element] = bad
            out = torch.empty(COUNT, dtype=out_dtype)
            accumulated = torch.float64 if dtype == torch.float64 else torch.float32
            pairs = [(inputs[1], inputs[2])]
            assert not run(kernel, inputs[0], pairs, [coefficient], out, accumulated)


def test_a_nan_with_every_bit_set_is_seen():
    for values in (torch.tensor([-1], dtype=torch.int32), torch.tensor([0x7FFFFFFF]).int()):
        target = values.view(torch.float32)
        assert not run(merge_block, target, [], [], torch.empty(1, dtype=torch.bfloat16))


@pytest.mark.parametrize("wide", [False, True], ids=["8 columns", "16 columns"])
@pytest.mark.parametrize("rank", [1, 2, 7, 16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 513), (2, 1536), (13, 9), (6, 8)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_summed_in_order_and_rounded_once(shape, rank, dtype, wide, monkeypatch):
    monkeypatch.setattr(fused, "wide_registers", lambda: wide)
    generator = np.random.default_rng(rank)
    rows, columns = shape
    left, right = (
        generator.standard_normal(size).astype(dtype).astype(np.float64)
        for size in ((rows, rank), (rank, columns))
    )
    total = left[:, :1] * right[:1]
    for k in range(1, rank):
        total = total + left[:, k : k + 1] * right[k]
    found = np.empty(shape, dtype)
    multiply(left, strips(right), 0.37, found)
    assert np.array_equal(found, (total * 0.37).astype(dtype))
