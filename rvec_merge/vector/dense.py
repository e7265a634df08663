"""Write a vector as an ordinary checkpoint, which every tool reads that reads a model."""

import json
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path

import numpy as np

from rvec_merge.arithmetic.dtypes import BFLOAT16, FLOAT32, FLOAT64, Array, DType, rounded
from rvec_merge.checkpoint.layout import write_index
from rvec_merge.checkpoint.model_config import read_json
from rvec_merge.checkpoint.shards import ShardWriter
from rvec_merge.checkpoint.written import Wanted, check_written
from rvec_merge.files.atomic import new_folder
from rvec_merge.vector.blocks import DeltaReader, Window, in_order, windows
from rvec_merge.vector.inputs import PackedVector, Vector
from rvec_merge.vector.output import Progress, copy_other_files, silent, write_text
from rvec_merge.vector.provenance import record_extraction
from rvec_merge.vector.statistics import finite_squares

_STEM = "model"


@dataclass(frozen=True)
class DenseReport:
    """What rounding to the file's dtype cost.

    Attributes:
        dtype: of every tensor in the file.
        tensors, elements: how many.
        inexact: elements that the dtype does not hold exactly.
        norm: the exact vector's 2-norm.
        residual: norm of what rounding lost, relative to ``norm``.
    """

    dtype: DType
    tensors: int
    elements: int
    inexact: int
    norm: float
    residual: float


@dataclass(frozen=True)
class _Rounded:
    data: memoryview
    inexact: int
    squares: float
    lost_squares: float


def extract_dense(
    vector: Vector,
    out: Path,
    *,
    dtype: DType | None = None,
    shard_size: int,
    hash_files: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> DenseReport:
    """Write a vector to the new folder ``out``, zeros and all, under the tensors' own names.

    Args:
        dtype: of the file; None takes bfloat16 if that is exact, else what is (float32; float64
            where a donor is float64).

    Raises:
        NonFiniteError: a donor holds NaN or Inf.
        OutputError: ``out`` exists or cannot be written.
    """
    dtype = dtype or exact_dtype(vector)
    with new_folder(out, vector.roots, overwrite=overwrite) as folder:
        ranks = {name: len(shape) for name, shape in vector.shapes.items()}
        writer = ShardWriter(folder, _STEM, ranks, shard_size, {"format": "pt"})
        try:
            report = _write_tensors(vector, dtype, writer, progress)
            files = writer.close()
        finally:
            writer.abandon()
        if len(set(files.values())) > 1:
            write_index(folder, files, report.elements * dtype.itemsize)
        check_written(folder, {n: Wanted(tuple(s), dtype) for n, s in vector.shapes.items()})
        copy_other_files(vector.roots[0], folder)
        _state_dtype(folder / "config.json", dtype)
        facts = {
            "dtype": f"{dtype}",
            "tensors": report.tensors,
            "elements": report.elements,
            "norm": report.norm,
            "inexact": report.inexact,
            "relative_residual": report.residual,
        }
        record_extraction(folder, "dense", vector.donors(hash_files=hash_files), facts)
    return report


def exact_dtype(vector: Vector) -> DType:
    """The narrowest of bfloat16, float32 and float64 that holds every delta exactly.

    Reads until the first delta that bfloat16 does not hold; of a compact vector only the head.
    """
    if isinstance(vector, PackedVector):
        records = vector.compact.head.tensors.values()
        wide = any(record.dtype == "F64" for record in records)
        inexact = any(record.inexact for record in records)
    else:
        reader = DeltaReader(vector)
        sources = [s for n in vector.shapes for _, s in vector.delta(n).inputs]
        wide = any(source.dtype == FLOAT64 for source in sources)
        blocks = (reader.values(window) for window in windows(vector))
        inexact = wide or any(_is_inexact(block) for block in blocks)
    if wide:
        return FLOAT64
    return FLOAT32 if inexact else BFLOAT16


def _is_inexact(values: Array) -> bool:
    return not np.array_equal(rounded(rounded(values, BFLOAT16), values.dtype), values)


def _write_tensors(
    vector: Vector, dtype: DType, writer: ShardWriter, progress: Progress
) -> DenseReport:
    reader = DeltaReader(vector)

    def written(window: Window) -> _Rounded:
        exact = reader.values(window)
        squares = finite_squares(exact)
        if squares is None:
            raise reader.non_finite(window)
        kept = rounded(exact, dtype)
        lost = exact - rounded(kept, exact.dtype)
        inexact = int(np.count_nonzero(lost))
        lost_squares = finite_squares(lost) or 0.0
        return _Rounded(kept.view(np.uint8).data, inexact, squares, lost_squares)

    elements = inexact = 0
    squares = lost_squares = 0.0
    for window, block in in_order(written, windows(vector)):
        writer.write(block.data)
        shape = vector.shapes[window.name]
        if window.stop == prod(shape):
            writer.finish(window.name, dtype, shape)
        elements += window.stop - window.start
        inexact += block.inexact
        squares += block.squares
        lost_squares += block.lost_squares
        progress(window.stop - window.start)
    residual = sqrt(lost_squares / squares) if squares else 0.0
    return DenseReport(dtype, len(vector.shapes), elements, inexact, sqrt(squares), residual)


def _state_dtype(config: Path, dtype: DType) -> None:
    """Make the config say the file's dtype, under whichever key it says one."""
    if not config.is_file():
        return
    settings = read_json(config)
    keys = [key for key in ("dtype", "torch_dtype") if key in settings] or ["torch_dtype"]
    settings.update(dict.fromkeys(keys, f"{dtype}"))
    settings.pop("quantization_config", None)  # of a donor in FP8
    write_text(config, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
