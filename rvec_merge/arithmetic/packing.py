"""Packing and measuring blocks on a CPU, by the fused kernels."""

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from rvec_merge.arithmetic import fused
from rvec_merge.arithmetic.buffers import take
from rvec_merge.arithmetic.dtypes import (
    BITS,
    FLOAT64,
    Array,
    Bits,
    Bytes,
    DType,
    accumulation_dtype,
)
from rvec_merge.arithmetic.ir_packing import LANES, SUMS, Join, Spread, Squares, Squeeze
from rvec_merge.arithmetic.on_cpu import KINDS, places

SPARE = LANES + 1  # values that `spread` may look at beyond the last element's


@dataclass(frozen=True)
class Squeezed:
    """What a block's difference is without the elements that are +0.0, and sums over it.

    The arrays are the squeezer's: its next block writes over them.

    Attributes:
        elements: of the block.
        values: the bits of the elements that were kept, in order.
        planes: their most significant bytes, and the next.
        bitmap: where they stand; the least significant bit comes first.
        inexact: how many bfloat16 does not hold exactly.
        one_ulp: pairs of inputs that are neighbours in their format; None unless both are of one
            16-bit dtype.
        largest: the largest magnitude.
        squares: sum of the difference's squares.
        weight_squares: sum of the squares of ``minus``; NaN without it.
    """

    elements: int
    values: Any
    planes: list[Bytes]
    bitmap: Bytes
    inexact: int
    one_ulp: int | None
    largest: float
    squares: float
    weight_squares: float

    @property
    def dtype(self) -> DType:
        """Of the difference."""
        return np.dtype(f"f{self.values.itemsize}")


class Squeezer:
    """Squeezes blocks of at most ``block`` elements. One thread's."""

    def __init__(self, block: int) -> None:
        room = block + 2 * LANES
        self._kept = {dtype: np.empty(room, bits) for dtype, bits in BITS.items()}
        self._bitmap = np.empty(room // 8, np.uint8)
        self._planes = np.empty((2, room), np.uint8)
        self._sums = np.empty(len(SUMS), FLOAT64)

    def squeeze(self, plus: Array, minus: Array | None = None) -> Squeezed:
        """Squeeze and measure ``plus − minus``, or ``plus`` itself.

        Shapes: ``(n,)``, contiguous.
        Dtypes: the difference is float32; float64 where an input is.
        """
        inputs = [_padded(values) for values in (plus, minus) if values is not None]
        dtypes = [values.dtype for values in inputs]
        kernel = Squeeze(KINDS[plus.dtype], None if minus is None else KINDS[minus.dtype])
        kept = self._kept[accumulation_dtype(dtypes)]
        buffers = [*inputs, self._bitmap, *self._planes, kept, self._sums]
        fused.pack(kernel, places(buffers), inputs[0].size)
        found = dict(zip(SUMS, self._sums.tolist(), strict=True))
        size = int(found["kept"])
        return Squeezed(
            elements=plus.size,
            values=kept[:size],
            planes=[plane[:size] for plane in self._planes],
            bitmap=self._bitmap[: -(-plus.size // 8)],
            inexact=int(found["inexact"]),
            one_ulp=int(found["one_ulp"]) if kernel.steps else None,
            largest=found["largest"],
            squares=found["squares"],
            weight_squares=float("nan") if minus is None else found["weight_squares"],
        )


def spread(bitmap: Bytes, values: Bits, count: int) -> tuple[Bits, int]:
    """The bits of ``count`` elements, the values where the bitmap has a 1, else zero; and its 1s.

    Shapes: ``bitmap`` is ``(⌈count / 8⌉,)``, ``values`` ``(count + SPARE,)``: whatever the bitmap
    says, nothing beyond them is read.
    """
    padded = -(-count // LANES) * LANES
    out: Bits = take(padded, values.dtype)
    marks = np.zeros(padded // 8, np.uint8)
    marks[: bitmap.size] = bitmap
    kernel = Spread(8 * values.itemsize, fused.wide_registers())
    marked = fused.pack(kernel, places([marks, values, out]), padded)
    return out[:count], marked


def join(planes: list[Bytes], out: Bits) -> None:
    """Write values from their bytes, the most significant first; those not given are zero."""
    kernel = Join(8 * out.itemsize, len(planes))
    fused.pack(kernel, places([*planes, out]), planes[0].size)


def squares_of(values: Array) -> float:
    """The sum of squares, in float64, in an order that depends on nothing but their number."""
    sums = np.empty(LANES, FLOAT64)
    padded = _padded(values)
    fused.pack(Squares(KINDS[values.dtype]), places([padded, sums]), padded.size)
    total: float = reduce(add, sums.tolist())  # `sum` differs between versions of Python
    return total


def _padded(values: Any) -> Any:
    """The values, with zeros up to a whole number of lanes."""
    missing = -values.size % LANES
    return np.append(values, np.zeros(missing, values.dtype)) if missing else values
