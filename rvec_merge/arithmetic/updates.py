"""What is added to a weight while it is read: a product of two factors, and sums of sources."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rvec_merge.arithmetic.buffers import take
from rvec_merge.arithmetic.dtypes import FLOAT32, Array, DType, accumulation_dtype, rounded
from rvec_merge.arithmetic.kernel import Delta, Source, by_rows

Factor: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Factors:
    """``scale · left @ right``; see ``LowRank``.

    Shapes: ``left`` (rows, rank), ``right`` (rank, columns).
    """

    left: Factor
    right: Factor
    scale: float


class LowRank:
    """An adapter's update, ``scale · left @ right``, rows at a time.

    Each element is summed over the rank in ascending order, in float64, multiplied by ``scale``
    and rounded once. Products of two float32 are exact in float64, so whether a machine fuses the
    multiplication with the addition changes nothing: the bits are the same for every window,
    thread count and CPU, which no BLAS promises.

    Memory: the factors, ``right`` in float64, and the rows of a window.
    Dtypes: float32; float64 where a factor is.

    Args:
        load: gives the factors, once a value is asked for.
    """

    def __init__(self, load: Callable[[], Factors], shape: tuple[int, ...], dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype
        self._load = load
        self._factors: Factors | None = None  # the right one in strips

    @property
    def size(self) -> int:
        """Elements of the update."""
        return prod(self.shape)

    def __getitem__(self, window: slice) -> Array:
        """Elements ``start`` to ``stop`` of the flattened update."""
        return by_rows(window, self.size, self._columns, self._rows, self.dtype)

    @property
    def _columns(self) -> int:
        return self.shape[1] if len(self.shape) > 1 else 1  # a bias is a column

    def _rows(self, first: int, last: int) -> Array:
        # Here, since a stock run of another method needs no compiler.
        from rvec_merge.arithmetic.on_cpu import multiply, strips

        if self._factors is None:
            found = self._load()
            self._factors = replace(found, right=strips(found.right))
        factors = self._factors
        left = np.ascontiguousarray(factors.left[first:last], np.float64)
        shape = (last - first, self._columns)
        out = take(prod(shape), self.dtype).reshape(shape)
        multiply(left, factors.right, factors.scale, out)
        return out


class Sum:
    """``base + update``, rounded once: an adapted weight, never in the base's own dtype.

    Dtypes: float32; float64 where either is.
    """

    def __init__(self, base: Source, update: Source) -> None:
        self.base = base
        self.update = update
        self.shape = tuple(base.shape)
        self.dtype = accumulation_dtype([base.dtype, update.dtype])

    @property
    def size(self) -> int:
        """Elements of the sum."""
        return self.base.size

    def __getitem__(self, window: slice) -> Array:
        return rounded(self.base[window], self.dtype) + self.update[window]


class Zeros:
    """A source of zeros: what two inputs that share a weight differ by there."""

    def __init__(self, shape: tuple[int, ...], dtype: DType = FLOAT32) -> None:
        self.shape = shape
        self.dtype = dtype

    @property
    def size(self) -> int:
        """Elements."""
        return prod(self.shape)

    def __getitem__(self, window: slice) -> Array:
        start, stop, _ = window.indices(self.size)
        return np.zeros(max(stop - start, 0), self.dtype)


def without_common_base(delta: Delta) -> Delta:
    """``(base + a) − (base + b)`` as ``a − b``: nothing is rounded, and the base is not read.

    Other deltas are returned as they are. Two sources are of one base where their ``origin``, which
    a stored tensor has, is the same place of the same file.
    """
    if delta.minus is None:
        return delta
    plus, a = _parts(delta.plus)
    minus, b = _parts(delta.minus)
    origin = getattr(plus, "origin", None)
    if origin is None or origin != getattr(minus, "origin", None):
        return delta
    dtype = accumulation_dtype([plus.dtype])
    return replace(delta, plus=a or Zeros(tuple(plus.shape), dtype), minus=b)


def _parts(source: Source) -> tuple[Source, Source | None]:
    return (source.base, source.update) if isinstance(source, Sum) else (source, None)
