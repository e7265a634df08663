"""What a merge did to the target: how much of the vector arrived, and how much rounding took.

Measured on a systematic sample of blocks, in float64. The sample depends on names and shapes
alone, and the partial sums are added in a fixed order, so threads do not change the figures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from zlib import crc32

import torch
from torch import Tensor

from rvec_merge.kernel import BlockMerger, Delta, Source

EVERY = 32  # one block in so many is measured, and at least one of every tensor


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
        relative_norm: the vector's norm as a share of the target's.
        elements: how many of the output's elements were measured.
    """

    scale: float
    effective_scale: float
    lost: float
    density: float
    relative_norm: float
    elements: int


def is_sampled(name: str, index: int, blocks: int) -> bool:
    """Whether block ``index`` of a tensor of so many blocks is measured."""
    period = min(EVERY, blocks)
    return index % period == crc32(name.encode()) % period


def measure(
    merger: BlockMerger,
    target: Source,
    deltas: Sequence[Delta],
    scale: float,
    out: Tensor,
    start: int,
) -> Sums:
    """The sums of one block, of which ``out`` was written at element ``start``."""
    stop = start + out.numel()
    before = target[start:stop].double()
    update = torch.zeros_like(before)
    for delta in deltas:
        if delta.coefficient != 0:
            update += merger.delta(delta, start, stop).double() * delta.coefficient
    written = out.double() - before
    vector = update / scale if scale else update
    nonzero = update != 0
    return Sums(
        vv=_dot(vector, vector),
        tt=_dot(before, before),
        asked=_dot(update, vector),
        applied=_dot(written, vector),
        elements=float(out.numel()),
        nonzero=float(nonzero.sum()),
        lost=float((nonzero & (written == 0)).sum()),
    )


def combine(tensors: Iterable[tuple[int, Sequence[Sums]]]) -> Effect | None:
    """The effect on the whole model, from each tensor's elements and its blocks' sums.

    None if the vector is zero everywhere it was looked at.
    """
    total, measured = Sums(), 0
    for elements, blocks in tensors:
        sums = sum(blocks, Sums())
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
        relative_norm=sqrt(total.vv / total.tt) if total.tt else float("inf"),
        elements=measured,
    )


def _dot(a: Tensor, b: Tensor) -> float:
    return float(torch.dot(a, b))
