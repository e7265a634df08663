"""A checkpoint's tensor, read by windows: a source for the kernel."""

import os
import weakref

import torch
from torch import Tensor

from rvec_merge.checkpoint import TensorInfo
from rvec_merge.errors import CheckpointError


class StoredTensor:
    """A tensor in a file; a slice reads its bytes into a buffer that the next slice reuses.

    Asked twice for one window it reads once. One thread's.
    """

    def __init__(self, info: TensorInfo) -> None:
        self.dtype = info.dtype
        self.shape = info.shape
        self._info = info
        self._buffer = bytearray()
        self._window = (0, 0)
        self._file: int | None = None

    def numel(self) -> int:
        """Elements of the tensor."""
        return self._info.nbytes // self.dtype.itemsize

    def __getitem__(self, window: slice) -> Tensor:
        """Elements ``start`` to ``stop`` of the flattened tensor.

        Raises:
            CheckpointError: the file has become shorter than its header says.
        """
        start, stop, _ = window.indices(self.numel())
        if start >= stop:
            return torch.empty(0, dtype=self.dtype)
        if self._window != (start, stop):
            self._read(start * self.dtype.itemsize, stop * self.dtype.itemsize)
            self._window = (start, stop)
        return torch.frombuffer(self._buffer, dtype=self.dtype, count=stop - start)

    def _read(self, low: int, high: int) -> None:
        if len(self._buffer) < high - low:
            self._buffer = bytearray(high - low)
        view = memoryview(self._buffer)[: high - low]
        if self._file is None:
            self._file = os.open(self._info.path, os.O_RDONLY)
            weakref.finalize(self, os.close, self._file)
        place = self._info.start + low
        while view:
            count = os.preadv(self._file, [view], place)
            if not count:
                raise CheckpointError(
                    f"{self._info.path.name} ends early.",
                    [f"{self._info.path}", f"{self._info.name} lacks {len(view)} bytes"],
                    "fetch the checkpoint again.",
                )
            view, place = view[count:], place + count
