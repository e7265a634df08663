"""What is measured of a delta, block by block."""

from dataclasses import dataclass, fields
from math import isfinite, sqrt

from rvec_merge.arithmetic.dtypes import Array
from rvec_merge.arithmetic.packing import Squeezed, squares_of


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


def measured(found: Squeezed) -> Measured:
    """The measures of one block."""
    return Measured(
        found.elements,
        found.values.size,
        found.inexact,
        found.squares,
        found.largest,
        found.weight_squares,
        found.one_ulp,
    )


def finite_squares(values: Array) -> float | None:
    """The sum of squares; None if it is not finite."""
    total = squares_of(values)
    return total if isfinite(total) else None


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b
