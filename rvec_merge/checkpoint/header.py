"""A lazy, safe view of a safetensors checkpoint: names, dtypes, shapes and where the bytes lie."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from rvec_merge.arithmetic.dtypes import Array, DType
from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.model_config import REFETCH, config_of, read_json
from rvec_merge.checkpoint.no_weights import no_weights
from rvec_merge.checkpoint.tensor import DTYPES, MappedTensor, StoredTensor, map_file
from rvec_merge.checkpoint.tensor import NAMED as DTYPE_NAMES
from rvec_merge.checkpoint.tensor import TensorInfo as TensorInfo
from rvec_merge.checkpoint.weight_files import (
    NAMED,
    PICKLED,
    check_shard,
    first_files,
    is_index,
    pickled,
)
from rvec_merge.errors import CheckpointError, why
from rvec_merge.files.plain_folder import check_plain

HEADER_LIMIT = 25_000_000  # bytes of one file's header; the Hub's client has the same limit
MOST_TENSORS = 250_000  # of one checkpoint; the largest that are shared have a third of it
_DIMENSIONS = 64  # as many as torch allows


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder, read from its headers alone.

    Attributes:
        root: the folder.
        tensors: every tensor by name, in the order of the files.
        metadata: the ``__metadata__`` of the first file.
        pickled: the weights are pickled; torch must load them.
        files: the names of what was read: the weights, and their index.
        first_files: see ``weight_files.first_files``.
        mapped: files are mapped, for a process that reads them again and again.
    """

    root: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    pickled: bool = False
    files: tuple[str, ...] = ()
    first_files: tuple[str, ...] = ()
    mapped: bool = False

    @classmethod
    def open(
        cls, root: str | Path, *, allow_pickle: bool = False, mapped: bool = False
    ) -> "Checkpoint":
        """Read the headers of the files that transformers would load; no weight is read.

        Args:
            allow_pickle: where there are no safetensors, read pickled weights' names and shapes
                with torch's restricted unpickler (``weights_only=True``).

        Raises:
            CheckpointError: the folder is missing, holds no safetensors, an index entry or a link
                leaves the folder, or a header is malformed.
        """
        root = Path(root)
        firsts = _first_files(root, allow_pickle)
        first = root / firsts[0]
        files = _indexed(root, first) if is_index(first.name) else {first: set[str]()}
        tensors: dict[str, TensorInfo] = {}
        metadata: dict[str, str] = {}
        check_plain(root)
        for path, promised in sorted(files.items()):
            found, meta = (_unpickled(path), {}) if _is_pickled(path) else read_header(path)
            metadata = metadata or meta
            check_shard(path.name, path, found, promised, tensors)
            tensors.update(found)
            _check_count(len(tensors), root)
        read = tuple(sorted({first.name, *(path.name for path in files)}))
        return cls(root, tensors, metadata, any(map(_is_pickled, files)), read, firsts, mapped)

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.json`` as written; empty if there is none."""
        return config_of(self.root)

    @cached_property
    def paths(self) -> list[Path]:
        """The weight files."""
        return sorted({info.path for info in self.tensors.values()})

    def source(self, name: str) -> Source:
        """A tensor, for one thread to read."""
        info = self.tensors[name]
        aligned = info.start % info.dtype.itemsize == 0
        if self.mapped and aligned:
            return MappedTensor(info, self._maps[info.path])
        return StoredTensor(info)

    @cached_property
    def _maps(self) -> Mapping[Path, Array]:
        return {path: map_file(path) for path in self.paths}


def read_header(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """The tensors, in the order of their bytes, and the metadata of one safetensors file.

    As strict as the safetensors library, which maps the whole file to look at its header.

    Memory: 1 kB per tensor, of which there may be ``MOST_TENSORS``; 0.7 GB at worst.

    Raises:
        CheckpointError: the header is truncated, oversized, overlapping or out of bounds, or a
            dtype is unknown.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size - 8 - length
            if size < 0:
                raise ValueError(f"its header claims {length:,} bytes of {path.stat().st_size:,}")
            if length > HEADER_LIMIT:
                raise ValueError(f"its header has {length:,} bytes; {HEADER_LIMIT:,} are the most")
            text = file.read(length)
        _check_count(text.count(b"{") - 2, path)  # before it is parsed; its own, and the metadata's
        header = json.loads(text, object_pairs_hook=_no_duplicates)
        metadata, entries = _entries(header)
        tensors = _placed(path, 8 + length, size, entries)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path.name} is not a readable safetensors file.",
            [f"{path}", why(error)],
            REFETCH,
        ) from None
    return tensors, metadata


def _check_count(tensors: int, where: Path) -> None:
    if tensors > MOST_TENSORS:
        raise CheckpointError(
            "A checkpoint has too many tensors.",
            [f"{where}", f"more than {MOST_TENSORS:,}"],
            "do not use it; it was made to exhaust what reads it, or is broken.",
        )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header names something twice")
    return found


def _entries(header: Any) -> tuple[dict[str, str], list[tuple[int, int, str, str, list[int]]]]:
    """The metadata, and (start, end, name, dtype, shape) of each tensor, by place."""
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    metadata = header.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its metadata is not text")
    for text in (*metadata, *metadata.values(), *header):
        text.encode()  # a lone surrogate is a ValueError: it could be neither written nor printed
    entries = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
            raise ValueError(f"{name!r} is not described by dtype, shape and data_offsets")
        shape, offsets = _counts(entry["shape"], name), _counts(entry["data_offsets"], name)
        if len(offsets) != 2 or not isinstance(entry["dtype"], str):
            raise ValueError(f"{name!r} has a malformed dtype or data_offsets")
        entries.append((offsets[0], offsets[1], name, entry["dtype"], shape))
    return metadata, sorted(entries)


def _counts(value: Any, name: str) -> list[int]:
    if not isinstance(value, list) or len(value) > _DIMENSIONS:
        raise ValueError(f"{name!r} has a malformed shape or data_offsets")
    if not all(type(n) is int and 0 <= n < 1 << 63 for n in value):
        raise ValueError(f"{name!r} has a malformed shape or data_offsets")
    return value


def _placed(
    path: Path, data: int, size: int, entries: list[tuple[int, int, str, str, list[int]]]
) -> dict[str, TensorInfo]:
    """Tensors that fill the data one after the other, without gap or overlap."""
    tensors, end = {}, 0
    for low, high, name, kind, shape in entries:
        dtype = DTYPES.get(kind)
        if dtype is None:
            raise unknown_dtype(name, kind, path)
        if low != end or high - low != prod(shape) * dtype.itemsize:
            raise ValueError(f"{name!r}: bytes {low}-{high} do not fit shape {shape}, or its place")
        tensors[name] = TensorInfo(name, dtype, tuple(shape), path, data + low, high - low)
        end = high
    if end != size:
        raise ValueError(f"its tensors take {end:,} bytes, and it holds {size:,}")
    return tensors


def unknown_dtype(name: str, kind: str, where: object) -> CheckpointError:
    """The error for a tensor whose dtype is none of ``DTYPES``."""
    return CheckpointError(
        f"{name} has a dtype that cannot be merged.",
        [f"{where}", f"dtype {kind}"],
        "use a checkpoint in bfloat16, float16, float32 or float64.",
    )


def _first_files(root: Path, allow_pickle: bool) -> tuple[str, ...]:
    """See ``weight_files.first_files``; at least one."""
    if not root.is_dir():
        raise CheckpointError("A checkpoint does not exist.", [f"{root}"], "correct the path.")
    names = {path.name for path in root.iterdir() if path.is_file()}
    config = config_of(root)
    firsts = first_files(names, config)
    if firsts and firsts[0] in PICKLED and not allow_pickle:
        raise pickled(root, firsts)
    if firsts:
        return firsts
    if config.get(NAMED) is not None:
        raise CheckpointError(
            "The weights that a config names are not there.",
            [f"{root}", f"config.json: {NAMED}: {config[NAMED]!r}"],
            f"correct or remove {NAMED} in config.json, or download the weights.",
        )
    raise no_weights(root)


def _indexed(root: Path, index: Path) -> dict[Path, set[str]]:
    """The shards, each with the names that the index gives it."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(v, str) for v in weight_map.values()):
        raise CheckpointError(f"{index.name} has no weight_map.", [f"{index}"], REFETCH)
    files: dict[Path, set[str]] = {}
    for name, file in weight_map.items():
        # A plain file name: Hub caches link files to a shared store, so resolving says nothing.
        if file in {"", ".", ".."} or "/" in file or "\\" in file or "\0" in file:
            raise CheckpointError(
                "A weight_map entry leaves the checkpoint's folder.",
                [f"{index}", f"{name}: {file!r}"],
                "do not use this checkpoint; its index was tampered with or is broken.",
            )
        files.setdefault(root / file, set()).add(name)
    for path in files:
        if not os.path.isfile(path):  # Path.is_file raises where a name is too long for the system
            raise CheckpointError("A shard that the index names is missing.", [f"{path}"], REFETCH)
        if _is_pickled(path) and index.name not in PICKLED:
            raise CheckpointError(
                "A safetensors index names a pickled file.", [f"{index}", f"{path}"], REFETCH
            )
    return files


def _is_pickled(path: Path) -> bool:
    return path.suffix in {".bin", ".pt", ".pth"}


def _unpickled(path: Path) -> dict[str, TensorInfo]:
    """Names, dtypes and shapes of a pickled file; its weights stay on disk."""
    import torch

    try:
        state = torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except Exception as error:  # torch promises no exception types for what it refuses
        raise CheckpointError(
            f"{path.name} cannot be unpickled safely.",
            [f"{path}", why(error)],
            "convert it to safetensors where you trust it.",
        ) from None
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise CheckpointError(f"{path.name} is no plain state dict.", [f"{path}"], REFETCH)
    return {
        str(name): TensorInfo(str(name), _dtype(path, name, t), tuple(t.shape), path, -1, t.nbytes)
        for name, t in state.items()
    }


def _dtype(path: Path, name: str, tensor: Any) -> DType:
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in DTYPE_NAMES:
        raise unknown_dtype(name, kind, path)
    return DTYPE_NAMES[kind]
