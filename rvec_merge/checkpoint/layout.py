"""Where each output tensor goes: shards, headers and offsets, fixed before a byte is written.

The files are those of the safetensors library and of mergekit: the same names, order within a
file, header and padding.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rvec_merge.arithmetic.dtypes import DType
from rvec_merge.checkpoint.tensor import CODES, DTYPES
from rvec_merge.checkpoint.weight_files import INDEX

_RANKS = {dtype: rank for rank, dtype in enumerate(DTYPES.values())}


class Written(Protocol):
    """A tensor that is to be written."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> DType: ...

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class Shard:
    """One output file.

    Attributes:
        name: its file name.
        header: its first bytes, up to the first tensor.
        offsets: where each of its tensors begins in the file, in the order of the file.
        size: of the file, in bytes.
    """

    name: str
    header: bytes
    offsets: Mapping[str, int]
    size: int

    def create(self, folder: Path) -> int:
        """Make the file at its full size, with its header, and return its open handle.

        Raises:
            OSError: the disk has no room.
        """
        handle = os.open(folder / self.name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, self.size)
            else:  # macOS has none: a disk that fills is met while writing
                os.truncate(handle, self.size)
            os.pwrite(handle, self.header, 0)
        except OSError:
            os.close(handle)
            raise
        return handle


def lay_out(tensors: Sequence[Written], shard_size: int) -> list[Shard]:
    """Divide the tensors over files of at most ``shard_size`` bytes (or of one tensor each)."""
    groups: list[list[Written]] = [[]]
    size = 0
    for tensor in tensors:
        if groups[-1] and 0 < shard_size < size + tensor.nbytes:
            groups.append([])
            size = 0
        groups[-1].append(tensor)
        size += tensor.nbytes
    count = len(groups)
    if count == 1:
        return [_shard("model.safetensors", groups[0])]
    names = [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]
    return [_shard(name, group) for name, group in zip(names, groups, strict=True)]


def write_index(folder: Path, files: Mapping[str, str], total_size: int) -> None:
    """Write the index that says which file holds which tensor.

    Args:
        total_size: bytes of all tensors.
    """
    index = {"metadata": {"total_size": total_size}, "weight_map": files}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _shard(name: str, tensors: Sequence[Written]) -> Shard:
    ordered = sorted(tensors, key=lambda t: (-_RANKS[t.dtype], t.name.encode()))
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begins = {}
    end = 0
    for tensor in ordered:
        begins[tensor.name] = end
        span = [end, end + tensor.nbytes]
        code = CODES[tensor.dtype]
        entries[tensor.name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": span}
        end = span[1]
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    offsets = {tensor: len(header) + begin for tensor, begin in begins.items()}
    return Shard(name, header, offsets, len(header) + end)
