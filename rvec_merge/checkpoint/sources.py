"""Inputs of the kernel's block loop that are not plain tensors."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import prod

import numpy as np

from rvec_merge.arithmetic.dtypes import Array, DType, rounded
from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.vocabulary import Ranges


class Cast:
    """A source whose values are rounded as they are read, as mergekit's ``dtype`` asks."""

    def __init__(self, source: Source, dtype: DType) -> None:
        self.dtype = dtype
        self.shape = source.shape
        self._source = source

    @property
    def size(self) -> int:
        """Elements of the source."""
        return self._source.size

    def __getitem__(self, window: slice) -> Array:
        return rounded(self._source[window], self.dtype)


class Joined:
    """A tensor whose elements lie in others of one dtype: from ``start``, one after another's."""

    def __init__(self, sources: Sequence[Source], start: int, shape: Sequence[int]) -> None:
        self.dtype = sources[0].dtype
        self.shape = tuple(shape)
        self._sources = sources
        self._start = start
        self._ends = list(accumulate(source.size for source in sources))

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return prod(self.shape)

    def __getitem__(self, window: slice) -> Array:
        low, high, _ = window.indices(self.size)
        low, high = low + self._start, high + self._start
        found = []
        for index in range(bisect_right(self._ends, low), len(self._sources)):
            before = self._ends[index - 1] if index else 0
            if before >= high:
                break
            found.append(self._sources[index][max(low, before) - before : high - before])
        if len(found) == 1:
            return found[0]
        return np.concatenate([np.empty(0, self.dtype), *found])


class SomeRows:
    """A matrix of which some rows are read, at their places; the others are zero.

    Shapes: (rows, columns), whatever rows the source has beyond those that are read.

    Args:
        kept: ranges of rows, in order.
    """

    def __init__(self, source: Source, kept: Ranges, rows: int) -> None:
        self.dtype = source.dtype
        self.shape = (rows, *source.shape[1:])
        self._source = source
        self._kept = kept
        self._columns = prod(source.shape[1:])

    @property
    def size(self) -> int:
        """Elements of the matrix."""
        return prod(self.shape)

    def __getitem__(self, window: slice) -> Array:
        start, stop, _ = window.indices(self.size)
        found = np.zeros(max(stop - start, 0), self.dtype)
        for first, last in self._kept:
            low, high = max(first * self._columns, start), min(last * self._columns, stop)
            if low < high:
                found[low - start : high - start] = self._source[low:high]
        return found
