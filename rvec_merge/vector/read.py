"""A compact vector, read by windows: each of its tensors is a source for the kernel."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rvec_merge.checkpoint import TensorInfo, read_header, read_json
from rvec_merge.errors import CheckpointError
from rvec_merge.vector.codec import BITS, BLOCK, CorruptBlockError, decode
from rvec_merge.vector.format import DTYPES, FETCH_AGAIN, HEAD, Head, TensorRecord, read_head

OFFSET = np.dtype("<u8")  # of the table that ends a payload


class CompactTensor:
    """One delta of a compact vector; a slice decodes the blocks it touches, and no others.

    The last block is kept, so that windows shorter than a block decode it once. One thread's.

    Dtypes: float32, or float64 where a donor was float64; the difference's exact values.
    """

    def __init__(self, name: str, record: TensorRecord, payload: TensorInfo) -> None:
        self.name = name
        self.record = record
        self.dtype = DTYPES[record.dtype]
        self.shape = tuple(record.shape)
        self._payload = payload
        self._kept: tuple[int, Tensor] | None = None

    def numel(self) -> int:
        """Elements of the delta."""
        return self.record.numel

    def __getitem__(self, window: slice) -> Tensor:
        """Elements ``start`` to ``stop`` of the flattened delta.

        Raises:
            CheckpointError: the payload is truncated or damaged.
        """
        start, stop, _ = window.indices(self.numel())
        first, last = start // BLOCK, -(-stop // BLOCK)
        if last - first == 1:
            return self._block(first)[start - first * BLOCK : stop - first * BLOCK]
        out = torch.empty(max(stop - start, 0), dtype=self.dtype)
        for index in range(first, last):
            low, high = max(start, index * BLOCK), min(stop, (index + 1) * BLOCK)
            part = self._block(index)[low - index * BLOCK : high - index * BLOCK]
            out[low - start : high - start] = part
        return out

    def _block(self, index: int) -> Tensor:
        if self._kept is None or self._kept[0] != index:
            self._kept = (index, self._decoded(index))
        return self._kept[1]

    def _decoded(self, index: int) -> Tensor:
        low, high = (int(offset) for offset in self._offsets[index : index + 2])
        count = min(BLOCK, self.numel() - index * BLOCK)
        try:
            bits = decode(self._read(low, high), count, BITS[self.dtype])
        except CorruptBlockError as error:
            raise self._damaged(f"block {index}: {error}") from None
        return torch.from_numpy(bits.view(f"f{bits.itemsize}"))

    @cached_property
    def _offsets(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Where each block begins in the payload, and the last one's end."""
        blocks = -(-self.numel() // BLOCK)
        size = (blocks + 1) * OFFSET.itemsize
        end = self._payload.nbytes - size
        if end < 0:
            raise self._damaged(f"{self._payload.nbytes} bytes cannot hold {blocks} blocks")
        offsets = np.frombuffer(self._read(end, end + size), OFFSET)
        if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
            raise self._damaged("the block table is out of order")
        return offsets

    def _read(self, low: int, high: int) -> bytes:
        try:
            with open(self._payload.path, "rb", buffering=0) as file:
                data = os.pread(file.fileno(), high - low, self._payload.start + low)
        except OSError as error:
            raise self._damaged(f"{error}") from None
        if len(data) != high - low:
            raise self._damaged(f"the file ends {high - low - len(data)} bytes early")
        return data

    def chunks(self, size: int = 1 << 22) -> Iterator[bytes]:
        """The payload's bytes as they lie in the file."""
        for low in range(0, self._payload.nbytes, size):
            yield self._read(low, min(low + size, self._payload.nbytes))

    def _damaged(self, fact: str) -> CheckpointError:
        return CheckpointError(
            f"The vector's {self.name} is damaged.",
            [f"{self._payload.path}", fact],
            FETCH_AGAIN,
        )


@dataclass(frozen=True)
class CompactVector:
    """A compact vector's folder, read from its head and its files' headers alone.

    Attributes:
        root: the folder.
        head: ``rvec_vector.json``.
        payloads: where each tensor's bytes lie.
    """

    root: Path
    head: Head
    payloads: Mapping[str, TensorInfo]

    @classmethod
    def open(cls, root: str | Path) -> "CompactVector":
        """Read the head and every header under ``root``; no payload is read.

        Raises:
            CheckpointError: the folder is no compact vector, is of another version, lacks a
                file or a tensor, or a header is malformed.
        """
        root = Path(root)
        if not (root / HEAD).is_file():
            raise CheckpointError(
                "The folder holds no compact vector.",
                [f"{root}", f"there is no {HEAD}"],
                "correct the path, or make one: `rvec extract`.",
            )
        head = read_head(root)
        files: dict[str, Mapping[str, TensorInfo]] = {}
        payloads = {}
        for name, record in head.tensors.items():
            if record.file not in files:
                files[record.file] = read_header(root / record.file)[0]
            payload = files[record.file].get(name)
            if payload is None or payload.dtype != torch.uint8 or len(payload.shape) != 1:
                raise CheckpointError(
                    f"{record.file} lacks the payload of {name}.", [f"{root}"], FETCH_AGAIN
                )
            payloads[name] = payload
        return cls(root, head, payloads)

    @property
    def names(self) -> list[str]:
        """The tensors' names, in the order of the files."""
        return list(self.payloads)

    def tensor(self, name: str) -> CompactTensor:
        """A source for one thread."""
        return CompactTensor(name, self.head.tensors[name], self.payloads[name])

    @cached_property
    def config(self) -> dict[str, Any]:
        """The ``config.json`` beside the vector; empty if there is none."""
        path = self.root / "config.json"
        return read_json(path) if path.is_file() else {}

    def verify(self) -> None:
        """Compare every payload with its recorded hash.

        Raises:
            CheckpointError: one differs.
        """
        for name, record in self.head.tensors.items():
            digest = hashlib.sha256()
            for chunk in self.tensor(name).chunks():
                digest.update(chunk)
            if digest.hexdigest() != record.sha256:
                raise CheckpointError(
                    f"The vector's {name} is not what was extracted.",
                    [f"{self.root / record.file}", "its sha256 differs from the head's"],
                    FETCH_AGAIN,
                )
