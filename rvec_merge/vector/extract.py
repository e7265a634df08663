"""Write a vector as a compact one: lossless, small, and readable by windows."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from math import isfinite, isnan, sqrt
from operator import add
from pathlib import Path

import numpy as np

from rvec_merge.arithmetic.dtypes import DType
from rvec_merge.checkpoint.shards import ShardWriter
from rvec_merge.checkpoint.written import Wanted, check_written
from rvec_merge.files.atomic import new_folder
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.vector.blocks import DeltaReader, Window, in_order, windows
from rvec_merge.vector.codec import Encoder
from rvec_merge.vector.format import (
    DTYPES,
    FORMAT,
    METADATA,
    STEM,
    VERSION,
    Head,
    TensorRecord,
    Totals,
)
from rvec_merge.vector.inputs import PackedVector, Vector
from rvec_merge.vector.output import Progress, copy_other_files, silent, write_text
from rvec_merge.vector.provenance import CREATED_BY
from rvec_merge.vector.read import OFFSET
from rvec_merge.vector.statistics import Measured, measured

_CODES = {dtype: code for code, dtype in DTYPES.items()}


@dataclass(frozen=True)
class _Block:
    data: bytes
    sha256: bytes
    measured: Measured
    dtype: DType


def extract_compact(
    vector: Vector,
    out: Path,
    *,
    level: int | None = None,
    shard_size: int,
    hash_files: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Head:
    """Write a vector to the new folder ``out``.

    Lossless: a reader gets the difference's exact float32 values (float64 where a donor is
    float64).

    Memory: some blocks in flight and one block table, whatever the models' size.

    Args:
        level: a zstd level; None for entropy coding alone, which is both smaller and faster.
        shard_size: bytes per file.
        hash_files: record the donors' file hashes even where that means reading the files.

    Raises:
        NonFiniteError: a donor holds NaN or Inf.
        OutputError: ``out`` exists or cannot be written.
    """
    if isinstance(vector, PackedVector):
        vector.compact.verify()  # what is written would vouch for it
    with new_folder(out, vector.roots, overwrite=overwrite) as folder:
        ranks = dict.fromkeys(vector.shapes, 1)
        writer = ShardWriter(folder, STEM, ranks, shard_size, METADATA)
        try:
            records = _write_tensors(vector, Encoder(level), writer, progress)
            files = writer.close()
        finally:
            writer.abandon()
        head = Head(
            format=FORMAT,
            version=VERSION,
            created_by=CREATED_BY,
            architecture=next(iter(vector.config.get("architectures") or []), None),
            donors=vector.donors(hash_files=hash_files),
            totals=totals(list(records.values())),
            tensors={n: r.model_copy(update={"file": files[n]}) for n, r in records.items()},
        )
        wanted = dict.fromkeys(vector.shapes, Wanted(dtype=np.dtype(np.uint8)))
        check_written(folder, wanted, indexed=False)
        copy_other_files(vector.roots[0], folder)
        write_text(folder / VECTOR_FILE, head.model_dump_json(indent=1) + "\n")
    return head


def _write_tensors(
    vector: Vector, encoder: Encoder, writer: ShardWriter, progress: Progress
) -> dict[str, TensorRecord]:
    reader = DeltaReader(vector)

    def encode(window: Window) -> _Block:
        squeezed = reader.squeezed(window)
        found = measured(squeezed)
        if not isfinite(found.squares):
            raise reader.non_finite(window)
        data = encoder.encode(squeezed)
        return _Block(data, hashlib.sha256(data).digest(), found, squeezed.dtype)

    records = {}
    for name, blocks in groupby(in_order(encode, windows(vector)), lambda item: item[0].name):
        records[name] = _write_tensor(name, vector.shapes[name], blocks, writer, progress)
    return records


def _write_tensor(
    name: str,
    shape: Sequence[int],
    blocks: Iterable[tuple[Window, _Block]],
    writer: ShardWriter,
    progress: Progress,
) -> TensorRecord:
    offsets, digests, found = [0], [], []
    for window, block in blocks:
        writer.write(block.data)
        found.append(block.measured)
        if window.stop > window.start:  # an empty tensor has no block
            offsets.append(offsets[-1] + len(block.data))
            digests.append(block.sha256)
        dtype = block.dtype
        progress(window.stop - window.start)
    table = np.array(offsets, OFFSET).tobytes() + b"".join(digests)
    writer.write(table)
    writer.finish(name, np.dtype(np.uint8), [offsets[-1] + len(table)])
    total = reduce(add, found)
    return TensorRecord(
        file=f"{STEM}.safetensors",
        shape=list(shape),
        dtype=_CODES[dtype],
        nonzero=total.nonzero,
        inexact=total.inexact,
        one_ulp=total.one_ulp,
        norm=total.norm,
        sft_norm=None if isnan(total.weight_squares) else total.weight_norm,
        largest=total.largest,
        sha256=hashlib.sha256(table).hexdigest(),
    )


def totals(records: Sequence[TensorRecord]) -> Totals:
    """The sums over all tensors."""
    return Totals(
        tensors=len(records),
        elements=sum(record.numel for record in records),
        nonzero=sum(record.nonzero for record in records),
        inexact=sum(record.inexact for record in records),
        norm=sqrt(sum(record.norm**2 for record in records)),
    )
