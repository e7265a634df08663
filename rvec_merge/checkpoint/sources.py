"""Inputs of the kernel's block loop that are not plain tensors."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import prod

import torch
from torch import Tensor

from rvec_merge.arithmetic.kernel import Source


class Cast:
    """A source whose values are rounded as they are read, as mergekit's ``dtype`` asks."""

    def __init__(self, source: Source, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.shape = source.shape
        self._source = source

    def numel(self) -> int:
        """Elements of the source."""
        return self._source.numel()

    def __getitem__(self, window: slice) -> Tensor:
        return self._source[window].to(self.dtype)


class Joined:
    """A tensor whose elements lie in others of one dtype: from ``start``, one after another's."""

    def __init__(self, sources: Sequence[Source], start: int, shape: Sequence[int]) -> None:
        self.dtype = sources[0].dtype
        self.shape = torch.Size(shape)
        self._sources = sources
        self._start = start
        self._ends = list(accumulate(source.numel() for source in sources))

    def numel(self) -> int:
        """Elements of the tensor."""
        return prod(self.shape)

    def __getitem__(self, window: slice) -> Tensor:
        low, high, _ = window.indices(self.numel())
        low, high = low + self._start, high + self._start
        found = []
        for index in range(bisect_right(self._ends, low), len(self._sources)):
            before = self._ends[index - 1] if index else 0
            if before >= high:
                break
            found.append(self._sources[index][max(low, before) - before : high - before])
        return (
            found[0] if len(found) == 1 else torch.cat([torch.empty(0, dtype=self.dtype), *found])
        )
