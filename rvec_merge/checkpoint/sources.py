"""Inputs of the kernel's block loop that are not plain tensors."""

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
