"""What a merge did to the target: how much of the vector arrived, and how much rounding took.

Measured in float64, in small models everywhere, in large ones on a systematic sample of strips:
a merge should not wait for its summary. The sample depends on names and sizes alone, and the
partial sums are added in a fixed order, so threads do not change the figures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from zlib import crc32

from rvec_merge.arithmetic.dtypes import Array, DType
from rvec_merge.arithmetic.on_cpu import Inputs, measure_block

STRIP = 1 << 13  # elements; their float64 copies stay in cache
BUDGET = 1 << 21  # elements to measure, about; and at least one strip of every tensor


@dataclass(frozen=True)
class Sums:
    """Sums over elements; with ``v`` the vector (masked, weighted, unscaled), ``t`` the target.

    Attributes:
        vv, tt: squares of ``v`` and of ``t``.
        asked: (scale · v) · v.
        applied: (what was written − t) · v.
        elements: how many there are.
        nonzero: where v is not zero.
        lost: of those, where nothing changed.
    """

    vv: float = 0.0
    tt: float = 0.0
    asked: float = 0.0
    applied: float = 0.0
    elements: float = 0.0
    nonzero: float = 0.0
    lost: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def times(self, factor: float) -> "Sums":
        """Every sum multiplied."""
        return Sums(*(getattr(self, f.name) * factor for f in fields(self)))


@dataclass(frozen=True)
class Effect:
    """What a merge did to the target.

    Attributes:
        scale: the mean scale asked for (projection of the intended update on the vector).
        effective_scale: the same of the update that is in the file.
        lost: share of the vector's non-zero elements that rounding left unchanged.
        density: share of elements where the vector is not zero.
        relative_norm: the vector's norm as a share of the target's; None where that is zero.
        elements: how many of the output's elements were measured.
    """

    scale: float
    effective_scale: float
    lost: float
    density: float
    relative_norm: float | None
    elements: int


@dataclass(frozen=True)
class Sample:
    """Which strips of a model are measured.

    Attributes:
        period: one strip in so many.
    """

    period: int

    @classmethod
    def of(cls, elements: int) -> "Sample":
        """The sample of a model of so many elements."""
        return cls(max(1, -(-elements // BUDGET)))

    def strips(self, name: str, elements: int, start: int, stop: int) -> range:
        """Where the strips begin that are measured among ``start`` to ``stop`` of a tensor."""
        period = min(self.period, -(-elements // STRIP))
        first = crc32(name.encode()) % period
        # The first strip of this tensor's at or after `start`.
        skipped = max(0, -(-(-(-start // STRIP) - first) // period))
        return range((first + skipped * period) * STRIP, stop, period * STRIP)


def measure(
    strips: Iterable[int],
    start: int,
    target: Array,
    deltas: Inputs,
    coefficients: Sequence[float],
    scale: float,
    out: Array,
    dtype: DType,
) -> dict[int, Sums]:
    """The sums of the strips that begin at ``strips``, by their beginning.

    Args:
        start: the element at which all the arrays begin.
        target, deltas, coefficients, out, dtype: as given to the kernel that wrote ``out``.
    """
    found = {}
    for low in strips:
        strip = slice(low - start, low - start + STRIP)
        parts = [(p[strip], None if m is None else m[strip]) for p, m in deltas]
        written = out[strip]
        update, tt, applied, nonzero, lost = measure_block(
            target[strip], parts, coefficients, written, dtype
        )
        found[low] = Sums(
            vv=update / (scale * scale or 1),
            tt=tt,
            asked=update / (scale or 1),
            applied=applied / (scale or 1),
            elements=float(written.size),
            nonzero=nonzero,
            lost=lost,
        )
    return found


def combine(tensors: Iterable[tuple[int, Sequence[Sums]]]) -> Effect | None:
    """The effect on the whole model, from each tensor's elements and its strips' sums.

    None if the vector is zero everywhere it was looked at.
    """
    total, measured = Sums(), 0
    for elements, strips in tensors:
        sums = sum(strips, Sums())
        if sums.elements:
            measured += int(sums.elements)
            total += sums.times(elements / sums.elements)
    if total.vv == 0:
        return None
    return Effect(
        scale=total.asked / total.vv,
        effective_scale=total.applied / total.vv,
        lost=total.lost / total.nonzero,
        density=total.nonzero / total.elements,
        relative_norm=sqrt(total.vv / total.tt) if total.tt else None,
        elements=measured,
    )
