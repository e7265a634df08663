"""A compact vector, read by windows: each of its tensors is a source for the kernel."""

import hashlib
import logging
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from rvec_merge.arithmetic.dtypes import BITS, Array
from rvec_merge.checkpoint.header import TensorInfo, read_header
from rvec_merge.checkpoint.model_config import config_of
from rvec_merge.checkpoint.weight_files import INDEX
from rvec_merge.errors import CheckpointError, why
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.files.plain_folder import check_plain
from rvec_merge.vector.codec import BLOCK, CorruptBlockError, decode
from rvec_merge.vector.format import DTYPES, FETCH_AGAIN, Head, TensorRecord, read_head

LOG = logging.getLogger(__name__)
OFFSET = np.dtype("<u8")  # of the table that ends a payload
_DIGEST = hashlib.sha256().digest_size
_CHUNK = 1 << 22  # bytes


class CompactTensor:
    """One delta of a compact vector; a slice decodes the blocks it touches, and no others.

    The last block is kept, so that windows shorter than a block decode it once. One thread's.

    Dtypes: float32, or float64 where a donor was float64; the difference's exact values.
    """

    def __init__(self, name: str, record: TensorRecord, payload: TensorInfo, version: int) -> None:
        self.name = name
        self.record = record
        self.dtype = DTYPES[record.dtype]
        self.shape = tuple(record.shape)
        self._payload = payload
        self._bound = version > 1  # the head's sha256 is the table's, which holds the blocks'
        self._kept: tuple[int, Array] | None = None

    @property
    def size(self) -> int:
        """Elements of the delta."""
        return self.record.numel

    def __getitem__(self, window: slice) -> Array:
        """Elements ``start`` to ``stop`` of the flattened delta.

        Raises:
            CheckpointError: the payload is truncated, damaged, or not the one that the head is of.
        """
        start, stop, _ = window.indices(self.size)
        first, last = start // BLOCK, -(-stop // BLOCK)
        if last - first == 1:
            return self._block(first)[start - first * BLOCK : stop - first * BLOCK]
        out = np.empty(max(stop - start, 0), self.dtype)
        for index in range(first, last):
            low, high = max(start, index * BLOCK), min(stop, (index + 1) * BLOCK)
            part = self._block(index)[low - index * BLOCK : high - index * BLOCK]
            out[low - start : high - start] = part
        return out

    def _block(self, index: int) -> Array:
        if self._kept is None or self._kept[0] != index:
            self._kept = (index, self._decoded(index))
        return self._kept[1]

    def _decoded(self, index: int) -> Array:
        count = min(BLOCK, self.size - index * BLOCK)
        try:
            bits = decode(self._bytes(index), count, BITS[self.dtype])
        except CorruptBlockError as error:
            raise self._damaged(f"block {index}: {error}") from None
        return bits.view(self.dtype)

    def _bytes(self, index: int) -> bytes:
        """One block as it lies in the file."""
        offsets, digests = self._table
        data = self._read(int(offsets[index]), int(offsets[index + 1]))
        known = digests[index * _DIGEST : (index + 1) * _DIGEST]
        if self._bound and hashlib.sha256(data).digest() != known:
            raise self._strange(f"block {index} is not the one that its table names")
        return data

    @cached_property
    def _table(self) -> tuple[np.ndarray[Any, np.dtype[np.uint64]], bytes]:
        """Where each block begins in the payload, and the last one's end; the blocks' sha256."""
        blocks = -(-self.size // BLOCK)
        digests = blocks * _DIGEST if self._bound else 0
        size = (blocks + 1) * OFFSET.itemsize + digests
        end = self._payload.nbytes - size
        if end < 0:
            raise self._damaged(f"{self._payload.nbytes} bytes cannot hold {blocks} blocks")
        table = self._read(end, end + size)
        if self._bound and hashlib.sha256(table).hexdigest() != self.record.sha256:
            raise self._strange("its table's sha256 differs from the head's")
        offsets = np.frombuffer(table, OFFSET, blocks + 1)
        if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
            raise self._damaged("the block table is out of order")
        return offsets, table[offsets.nbytes :]

    def _read(self, low: int, high: int) -> bytes:
        try:
            data = os.pread(self._file.fileno(), high - low, self._payload.start + low)
        except OSError as error:
            raise self._damaged(why(error)) from None
        if len(data) != high - low:
            raise self._damaged(f"the file ends {high - low - len(data)} bytes early")
        return data

    @cached_property
    def _file(self) -> FileIO:
        file = self._payload.path.open("rb", buffering=0)
        weakref.finalize(self, file.close)
        return file

    def check_table(self) -> None:
        """Compare the payload's table with the head; in version 1 nothing says what it should be.

        Raises:
            CheckpointError: it is another one.
        """
        if self._bound:
            _ = self._table

    def verify(self) -> None:
        """Compare every byte of the payload with the head.

        Raises:
            CheckpointError: one differs.
        """
        if self._bound:
            for index in range(len(self._table[0]) - 1):
                self._bytes(index)
            return
        digest = hashlib.sha256()
        for low in range(0, self._payload.nbytes, _CHUNK):
            digest.update(self._read(low, min(low + _CHUNK, self._payload.nbytes)))
        if digest.hexdigest() != self.record.sha256:
            raise self._strange("its sha256 differs from the head's")

    def _strange(self, fact: str) -> CheckpointError:
        return CheckpointError(
            f"The vector's {self.name} is not what was extracted.",
            [f"{self._payload.path}", fact],
            FETCH_AGAIN,
        )

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
        """Read the head, every header and every payload's table under ``root``; no block is read.

        Raises:
            CheckpointError: the folder is no compact vector, is of another version, lacks a
                file or a tensor, a header is malformed, or the head is of other payloads.
        """
        root = Path(root)
        if not (root / VECTOR_FILE).is_file():
            raise CheckpointError(
                "The folder holds no compact vector.",
                [f"{root}", f"there is no {VECTOR_FILE}"],
                "correct the path, or make one: `rvec extract`.",
            )
        check_plain(root)
        head = read_head(root)
        files: dict[str, Mapping[str, TensorInfo]] = {}
        payloads = {}
        for name, record in head.tensors.items():
            if record.file not in files:
                files[record.file] = read_header(root / record.file)[0]
            payload = files[record.file].get(name)
            if payload is None or payload.dtype != np.uint8 or len(payload.shape) != 1:
                raise CheckpointError(
                    f"{record.file} lacks the payload of {name}.", [f"{root}"], FETCH_AGAIN
                )
            payloads[name] = payload
        vector = cls(root, head, payloads)
        if head.version == 1:
            _warn_of_version_1(root)
        for name in payloads:
            vector.source(name).check_table()
        return vector

    @property
    def names(self) -> list[str]:
        """The tensors' names, in the order of the files."""
        return list(self.payloads)

    @property
    def files(self) -> set[str]:
        """The names of the files that hold its payloads; version 1 has an index of them too."""
        index = {INDEX} if self.head.version == 1 else set()
        return {*index, *(info.path.name for info in self.payloads.values())}

    def source(self, name: str) -> CompactTensor:
        """A source for one thread."""
        record, payload = self.head.tensors[name], self.payloads[name]
        return CompactTensor(name, record, payload, self.head.version)

    @cached_property
    def tensors(self) -> dict[str, TensorInfo]:
        """Every delta under the shape and dtype it unpacks to; the bytes are the packed ones."""
        return {
            name: unpacked(payload, self.head.tensors[name])
            for name, payload in self.payloads.items()
        }

    @property
    def paths(self) -> list[Path]:
        """The weight files."""
        return sorted({info.path for info in self.payloads.values()})

    @property
    def pickled(self) -> bool:
        """A vector file never is."""
        return False

    @cached_property
    def config(self) -> dict[str, Any]:
        """The ``config.json`` beside the vector; empty if there is none."""
        return config_of(self.root)

    def verify(self) -> None:
        """Compare every payload, byte for byte, with what the head says of it.

        Raises:
            CheckpointError: one differs.
        """
        for name in self.head.tensors:
            self.source(name).verify()


def unpacked(payload: TensorInfo, record: TensorRecord) -> TensorInfo:
    """A payload's place, under the shape and dtype of the delta that it holds."""
    return replace(payload, dtype=DTYPES[record.dtype], shape=tuple(record.shape))


@cache  # once per folder; a merge opens it several times
def _warn_of_version_1(root: Path) -> None:
    LOG.warning(
        "%s is a vector of format version 1: that its payload is the one its head describes is "
        "not checked when it is used. `rvec extract --vector %s OUT` checks it and writes "
        "version 2.",
        root,
        root,
    )
