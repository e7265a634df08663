"""One block: exact for any bits, near the entropy of its values, and safe to read when damaged."""

import struct

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rvec_merge.arithmetic.packing import Squeezed, Squeezer
from rvec_merge.vector.codec import BLOCK, CorruptBlockError, Encoder, decode

U32, U64 = np.dtype(np.uint32), np.dtype(np.uint64)


def rl_like(n: int, seed: int = 0) -> np.ndarray:
    """The float32 bits of a sequential RL donor minus its start, both bfloat16."""
    generator = torch.Generator().manual_seed(seed)
    sft = (0.02 * torch.randn(n, generator=generator)).bfloat16()
    spread = torch.exp(0.7 * torch.randn(n, generator=generator))
    grpo = (sft.float() + 1.6e-5 * spread * torch.randn(n, generator=generator)).bfloat16()
    return (grpo.float() - sft.float()).numpy().view(np.uint32)


def squeezed(bits: np.ndarray) -> Squeezed:
    """What the values that have these bits are without zeros."""
    return Squeezer(BLOCK).squeeze(bits.view(f"f{bits.itemsize}"))


def encoded(bits: np.ndarray, level: int | None = None) -> bytes:
    """Their block."""
    return Encoder(level).encode(squeezed(bits))


def entropy_bytes(values: np.ndarray) -> float:
    """Bytes that an ideal order-0 code of the values takes."""
    _, counts = np.unique(values, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum() * values.size / 8)


@given(
    n=st.integers(1, 3000),
    density=st.sampled_from([0.0, 0.01, 0.2, 0.6, 0.95, 1.0]),
    inexact=st.sampled_from([0.0, 0.01, 0.3, 0.9, 1.0]),
    wide=st.booleans(),
    level=st.sampled_from([None, 3, 19]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_bits_come_back(n, density, inexact, wide, level, seed):
    random = np.random.default_rng(seed)
    dtype = U64 if wide else U32
    bits = random.integers(0, 2 ** (8 * dtype.itemsize), n, dtype=dtype)
    low = dtype.type(2 ** (8 * dtype.itemsize - 16) - 1)
    bits[random.random(n) >= inexact] &= ~low
    bits[random.random(n) >= density] = 0
    assert np.array_equal(decode(encoded(bits, level), n, dtype), bits)
    found = squeezed(bits)
    assert found.values.size == np.count_nonzero(bits)
    assert found.inexact == np.count_nonzero(bits & low)


def test_negative_zero_is_kept_apart_from_zero():
    bits = np.array([0, 1 << 31, 0], U32)
    assert decode(encoded(bits), 3, U32).tolist() == [0, 1 << 31, 0]


def test_zeros_take_no_byte():
    assert encoded(np.zeros(BLOCK, U32)) == b""


def test_an_rl_delta_is_near_its_entropy_and_well_below_bfloat16():
    bits = rl_like(BLOCK)
    size = len(encoded(bits))
    assert 0.15 < np.count_nonzero(bits) / BLOCK < 0.25
    assert size <= 1.25 * entropy_bytes(bits)
    assert size <= 0.15 * 2 * BLOCK


def test_the_default_is_smaller_than_zstd_3():
    bits = rl_like(BLOCK)
    assert len(encoded(bits)) < len(encoded(bits, 3))


def test_a_dense_block_is_stored_without_a_bitmap():
    bits = np.random.default_rng(0).integers(1, 2**32, 4096, dtype=np.uint32)
    sparse_overhead = len(encoded(np.append(bits, np.zeros(1, U32))))
    assert encoded(bits)[0] == 2
    assert len(encoded(bits)) <= sparse_overhead


@pytest.mark.parametrize("wide", [False, True])
def test_damaged_bytes_are_an_error_or_change_nothing(wide):
    random = np.random.default_rng(1)
    bits = rl_like(2000) if not wide else rl_like(2000).astype(np.uint64) << np.uint64(30)
    data = encoded(bits)
    for _ in range(300):
        damaged = bytearray(data)
        kind = random.integers(3)
        if kind == 0:
            damaged[random.integers(len(data))] ^= 1 << int(random.integers(8))
        elif kind == 1:
            del damaged[random.integers(len(data)) :]
        else:
            at = int(random.integers(len(data)))
            damaged[at : at + 4] = random.bytes(4)
        try:
            found = decode(bytes(damaged), 2000, bits.dtype)
        except CorruptBlockError:
            continue
        assert np.array_equal(found, bits) or not damaged


def test_a_frame_that_promises_more_than_the_block_is_not_opened():
    exact = rl_like(2000) & np.uint32(0xFFFF0000)  # so that there is no fourth section
    data = encoded(exact)
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    first = int.from_bytes(data[12:16], "little")
    head, rest = data[:12], data[24:]
    sizes = [len(bomb), *np.frombuffer(data[16:24], "<u4").tolist()]
    swapped = head + np.array(sizes, "<u4").tobytes() + bomb + rest[first:]
    with pytest.raises(CorruptBlockError, match="holds 1073741824 bytes"):
        decode(swapped, 2000, U32)


def test_a_block_of_another_length_is_refused():
    data = encoded(rl_like(2000))
    for count in (1, 1990, 2009):
        with pytest.raises(CorruptBlockError):
            decode(data, count, U32)


@pytest.mark.parametrize(("tail", "listed"), [(1, 0), (0, 1), (2, 1)])
def test_a_header_whose_tail_and_list_contradict_each_other_is_refused(tail, listed):
    empty = zstandard.ZstdCompressor().compress(b"")
    sections = [zstandard.ZstdCompressor().compress(bytes([1])) for _ in range(4)]
    sections = sections[:2] + {0: [], 1: [empty], 2: sections[2:]}[tail]
    sizes = np.array([len(section) for section in sections], "<u4").tobytes()
    data = struct.pack("<BBHII", 2, tail, 0, 1, listed) + sizes + b"".join(sections)
    with pytest.raises(CorruptBlockError, match="the header makes no sense"):
        decode(data, 1, U32)
