"""Write safetensors files whose tensors' sizes are not known in advance."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rvec_merge.arithmetic.dtypes import DType
from rvec_merge.checkpoint.tensor import CODES

_WIDEST = 10**15  # bytes; no offset has more digits
_COPY = 1 << 22  # bytes


class ShardWriter:
    """Appends tensors to ``stem.safetensors``, or to ``stem-00001-of-0000N.safetensors``.

    Room for each header is reserved and padded with spaces, which safetensors allows.

    Args:
        folder: exists, and is the caller's to publish or to discard.
        ranks: the tensors to come, each with its number of dimensions.
        shard_size: bytes; a file exceeds it only if it holds a single tensor.
        metadata: of every file.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        ranks: Mapping[str, int],
        shard_size: int,
        metadata: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._stem = stem
        self._ranks = dict(ranks)
        self._shard_size = shard_size
        self._metadata = metadata
        self._shards: list[_Shard] = []
        self._shard = self._next_shard()

    def write(self, data: bytes | memoryview) -> None:
        """Append to the tensor that the next ``finish`` names."""
        self._shard.file.write(data)

    def finish(self, name: str, dtype: DType, shape: Sequence[int]) -> None:
        """Make a tensor of what was written since the last one."""
        if self._shard.entries and self._shard.file.tell() > self._shard_size:
            full = self._shard
            self._shard = self._next_shard()
            full.give_tail(self._shard)
            full.close(self._metadata)
        self._shard.finish(name, dtype, shape)
        del self._ranks[name]

    def close(self) -> dict[str, str]:
        """Complete the files.

        Returns:
            the file of each tensor, in the order of the files.
        """
        self._shard.close(self._metadata)
        files = {}
        for number, shard in enumerate(self._shards, start=1):
            suffix = f"-{number:05d}-of-{len(self._shards):05d}" if len(self._shards) > 1 else ""
            name = f"{self._stem}{suffix}.safetensors"
            shard.path.rename(self._folder / name)
            files.update(dict.fromkeys(shard.entries, name))
        return files

    def abandon(self) -> None:
        """Close the open file and leave the folder to be discarded."""
        self._shard.file.close()

    def _next_shard(self) -> "_Shard":
        widest = {name: _entry("F8_E4M3", [_WIDEST] * n, 0, 0) for name, n in self._ranks.items()}
        room = len(_header(self._metadata, widest)) + 2 * len(str(_WIDEST)) * len(widest)
        path = self._folder / f"{self._stem}-{len(self._shards) + 1:05d}.part"
        self._shards.append(_Shard(path, -(-(8 + room) // 8) * 8))
        return self._shards[-1]


class _Shard:
    """One file: its open end, and the entries of its finished tensors."""

    def __init__(self, path: Path, data: int) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        self._data = data  # offset of the first tensor's first byte
        self._begin = data  # and of the unfinished tensor's
        self.file = path.open("w+b")
        self.file.seek(data)

    def finish(self, name: str, dtype: DType, shape: Sequence[int]) -> None:
        end = self.file.tell()
        span = self._begin - self._data, end - self._data
        self.entries[name] = _entry(CODES[dtype], shape, *span)
        self._begin = end

    def give_tail(self, other: "_Shard") -> None:
        """Move the unfinished tensor's bytes to the end of another file."""
        self.file.seek(self._begin)
        while chunk := self.file.read(_COPY):
            other.file.write(chunk)
        self.file.truncate(self._begin)

    def close(self, metadata: Mapping[str, str]) -> None:
        header = _header(metadata, self.entries).ljust(self._data - 8)
        self.file.seek(0)
        self.file.write(len(header).to_bytes(8, "little") + header)
        self.file.close()


def _entry(code: str, shape: Sequence[int], low: int, high: int) -> dict[str, Any]:
    return {"dtype": code, "shape": list(shape), "data_offsets": [low, high]}


def _header(metadata: Mapping[str, str], entries: Mapping[str, Any]) -> bytes:
    header = {"__metadata__": dict(metadata), **entries}
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
