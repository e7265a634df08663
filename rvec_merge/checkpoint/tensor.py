"""A checkpoint's tensor: its dtype in files, what a header says of it, and its values."""

import mmap
import os
import weakref
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from rvec_merge.arithmetic.dtypes import (
    BFLOAT16,
    FLOAT8,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    Array,
    DType,
    accumulation_dtype,
    rounded,
)
from rvec_merge.errors import CheckpointError

# In the order of the safetensors library, which writes the last ones first: so all are aligned.
DTYPES: dict[str, DType] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "F8_E5M2": FLOAT8[0],
    "F8_E4M3": FLOAT8[1],
    "I16": np.dtype(np.int16),
    "F16": FLOAT16,
    "BF16": BFLOAT16,
    "I32": np.dtype(np.int32),
    "F32": FLOAT32,
    "F64": FLOAT64,
    "I64": np.dtype(np.int64),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
NAMED = {dtype.name: dtype for dtype in DTYPES.values()}


def dtype_named(name: str | None) -> DType | None:
    """The dtype that recipes and configs call so; None of nothing."""
    return None if name is None else NAMED[name]


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checkpoint, from its file's header.

    Attributes:
        name: the name in the checkpoint.
        dtype: the stored dtype.
        shape: the stored shape.
        path: the file that holds it.
        start: offset of its first byte from the beginning of the file; -1 where it is not stored as
            it is read: in a pickled file, or made of others.
        nbytes: the bytes that are read for it.
        sha256: of a file that is not here, as the Hub lists it.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    path: Path
    start: int
    nbytes: int
    sha256: str | None = None


class MappedTensor:
    """A tensor in a file that stays mapped: what is read again costs nothing. Any thread's.

    Args:
        info: where it lies; at a multiple of its dtype's size.
        file: the whole file's bytes, as ``map_file`` gives them.
    """

    def __init__(self, info: TensorInfo, file: Array) -> None:
        self.dtype = info.dtype
        self.shape = info.shape
        self._info = info
        self._flat = file[info.start : info.start + info.nbytes].view(info.dtype)

    @property
    def origin(self) -> object:
        """Where its values lie: the same for two sources of the same bytes."""
        return _place(self._info)

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return self._flat.size

    def __getitem__(self, window: slice) -> Array:
        """Elements ``start`` to ``stop`` of the flattened tensor."""
        return self._flat[window]


def _place(info: TensorInfo) -> object:
    try:
        file = os.stat(info.path)  # whatever links lead there
    except OSError:  # on the Hub alone
        return info.path, info.start
    return file.st_dev, file.st_ino, info.start


def map_file(path: Path) -> Array:
    """A file's bytes, ``(size,)`` uint8, read by the system when they are looked at."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, np.uint8)


def read_whole(info: TensorInfo) -> Array:
    """A stored tensor of weights, in its shape: float32, or float64 where it is."""
    source = StoredTensor(info)
    values = source[: source.size]
    return np.array(rounded(values, accumulation_dtype([values.dtype]))).reshape(info.shape)


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
        self._file: FileIO | None = None

    @property
    def origin(self) -> object:
        """Where its values lie: the same for two sources of the same bytes."""
        return _place(self._info)

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return self._info.nbytes // self.dtype.itemsize

    def __getitem__(self, window: slice) -> Array:
        """Elements ``start`` to ``stop`` of the flattened tensor.

        Raises:
            CheckpointError: the file has become shorter than its header says.
        """
        start, stop, _ = window.indices(self.size)
        if start >= stop:
            return np.empty(0, self.dtype)
        if self._window != (start, stop):
            self._read(start * self.dtype.itemsize, stop * self.dtype.itemsize)
            self._window = (start, stop)
        return np.frombuffer(self._buffer, self.dtype, stop - start)

    def _read(self, low: int, high: int) -> None:
        if len(self._buffer) < high - low:
            self._buffer = bytearray(high - low)
        view = memoryview(self._buffer)[: high - low]
        if self._file is None:
            self._file = self._info.path.open("rb", buffering=0)
            weakref.finalize(self, self._file.close)
        self._file.seek(self._info.start + low)
        while view:
            count = self._file.readinto(view)
            if not count:
                raise CheckpointError(
                    f"{self._info.path.name} ends early.",
                    [f"{self._info.path}", f"{self._info.name} lacks {len(view)} bytes"],
                    "fetch the checkpoint again.",
                )
            view = view[count:]
