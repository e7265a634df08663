"""What is measured of a delta, block by block."""

from dataclasses import dataclass, fields
from math import isfinite, sqrt

import numpy as np

from rvec_merge.arithmetic.dtypes import BFLOAT16, SIXTEEN_BIT, Array, accumulation_dtype, rounded
from rvec_merge.arithmetic.kernel import Source
from rvec_merge.vector.blocks import Window
from rvec_merge.vector.codec import BITS, Bits


@dataclass(frozen=True)
class Measured:
    """Sums over some of a delta's elements; two add up to the sums over both.

    Attributes:
        elements: how many.
        nonzero: those whose bits are not those of +0.0.
        inexact: those that bfloat16 does not hold exactly.
        squares: sum of the delta's squares.
        largest: largest magnitude.
        weight_squares: sum of the sft weight's squares; NaN without an sft donor.
        one_ulp: elements one representable step from the sft weight; None unless both donors are
            of one 16-bit dtype.
    """

    elements: int
    nonzero: int
    inexact: int
    squares: float
    largest: float
    weight_squares: float
    one_ulp: int | None

    def __add__(self, other: "Measured") -> "Measured":
        sums = {f.name: _plus(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return Measured(**{**sums, "largest": max(self.largest, other.largest)})  # type: ignore[arg-type]

    @property
    def norm(self) -> float:
        return sqrt(self.squares)

    @property
    def weight_norm(self) -> float:
        return sqrt(self.weight_squares)

    @property
    def density(self) -> float:
        return self.nonzero / max(self.elements, 1)


def measure(
    window: Window, values: Bits, inexact: int, plus: Source, minus: Source | None
) -> Measured:
    """Measure one block.

    Args:
        values: the bits of the elements that are not +0.0.
        inexact: how many of them bfloat16 does not hold.
    """
    exact = values.view(f"f{values.itemsize}")
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        # Not np.dot: its sum depends on the number of BLAS threads.
        squares = float(np.square(exact, dtype=np.float64).sum())
    largest = float(max(exact.max(initial=0), -exact.min(initial=0)))
    weight_squares, one_ulp = float("nan"), None
    if minus is not None:
        weight = minus[window.start : window.stop]
        weight_squares = squares_of(weight)
        if weight.dtype == plus.dtype and weight.dtype in SIXTEEN_BIT:
            one_ulp = _neighbours(plus[window.start : window.stop], weight)
    return Measured(
        window.stop - window.start,
        values.size,
        inexact,
        squares,
        largest,
        weight_squares,
        one_ulp,
    )


def measure_values(window: Window, values: Array, plus: Source, minus: Source | None) -> Measured:
    """Measure one block of a delta, from all of its values."""
    bits: Bits = values.view(BITS[values.dtype])
    kept = bits[np.flatnonzero(bits != 0)]
    exact = kept.view(values.dtype)
    inexact = int(np.count_nonzero(rounded(rounded(exact, BFLOAT16), exact.dtype) != exact))
    return measure(window, kept, inexact, plus, minus)


def squares_of(values: Array) -> float:
    """The sum of squares, in float64, in an order that depends on nothing but their number."""
    wide = rounded(values, accumulation_dtype([values.dtype]))  # numpy widens that faster
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.square(wide, dtype=np.float64).sum())


def finite_squares(values: Array) -> float | None:
    """The sum of squares; None if it is not finite."""
    total = squares_of(values)
    return total if isfinite(total) else None


def _neighbours(a: Array, b: Array) -> int:
    """How many pairs of elements share a sign and have neighbouring magnitudes."""
    steps = a.view(np.int16) - b.view(np.int16)
    return int(np.count_nonzero(steps == 1) + np.count_nonzero(steps == -1))


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b
