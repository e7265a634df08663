"""What a checkpoint's header says of one tensor."""

from dataclasses import dataclass
from pathlib import Path

from rvec_merge.arithmetic.dtypes import DType


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
