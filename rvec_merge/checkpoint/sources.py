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


class OnDevice:
    """A source whose windows are copied to an accelerator by way of pinned memory.

    The copy is queued on the caller's stream, so that it overlaps other threads' arithmetic.
    """

    def __init__(self, source: Source, device: torch.device, block: int) -> None:
        self.dtype = source.dtype
        self.shape = source.shape
        self._source = source
        self._device = device
        self._pinned = torch.empty(block, dtype=source.dtype, pin_memory=device.type == "cuda")
        self._window: tuple[int, int] | None = None
        self._kept: Tensor | None = None

    def numel(self) -> int:
        """Elements of the source."""
        return self._source.numel()

    def __getitem__(self, window: slice) -> Tensor:
        span = window.indices(self.numel())[:2]
        if self._kept is None or span != self._window:
            if self._kept is not None and self._device.type == "cuda":
                # The pinned bytes may still be on their way.
                torch.cuda.current_stream(self._device).synchronize()
            here = self._pinned[: span[1] - span[0]].copy_(self._source[window])
            self._kept = here.to(self._device, non_blocking=True)
            self._window = span
        return self._kept
