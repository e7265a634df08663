"""One block on a CPU, by the fused kernels."""

from collections.abc import Sequence

import numpy as np

from rvec_merge.arithmetic import fused
from rvec_merge.arithmetic.dtypes import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Array, DType
from rvec_merge.arithmetic.ir import Kind, Part, Signature
from rvec_merge.arithmetic.ir_product import Product

Inputs = Sequence[tuple[Array, Array | None]]  # each delta's plus and minus
KINDS: dict[DType, Kind] = {BFLOAT16: "BF16", FLOAT16: "F16", FLOAT32: "F32", FLOAT64: "F64"}


def merge_block(
    target: Array | None,
    deltas: Inputs,
    coefficients: Sequence[float],
    out: Array,
    dtype: DType,
) -> bool:
    """Write ``target + Σ coefficient · (plus − minus)``; False if a value is not finite.

    Without a target the bare differences are added up.

    Shapes: every array is ``(n,)`` and contiguous; ``out`` overlaps no input.
    Dtypes: accumulates in ``dtype``, float32 or float64.
    """
    signature, inputs = _signature(target, deltas, coefficients, out, dtype)
    used = [c for c in coefficients if c != 0]
    return fused.merge(signature, places(inputs), used, _place(out), out.size)


def measure_block(
    target: Array,
    deltas: Inputs,
    coefficients: Sequence[float],
    out: Array,
    dtype: DType,
) -> list[float]:
    """What `ir.module_of` says a measuring kernel gives, of what was written to ``out``."""
    signature, inputs = _signature(target, deltas, coefficients, out, dtype, measures=True)
    used = [c for c in coefficients if c != 0]
    return fused.measure(signature, places([*inputs, out]), used, out.size)


def strips(right: Array) -> Array:
    """A product's right factor, as `multiply` takes it: columns that are computed together.

    Shapes: (rank, columns) becomes (⌈columns / strip⌉, rank, strip), in float64.
    """
    strip = 16 if fused.wide_registers() else 8
    rank, columns = right.shape
    out = np.zeros((-(-columns // strip), rank, strip))
    whole = columns // strip
    out[:whole] = right[:, : whole * strip].reshape(rank, whole, strip).transpose(1, 0, 2)
    if columns % strip:
        out[whole, :, : columns % strip] = right[:, whole * strip :]
    return out


def multiply(left: Array, right: Array, scale: float, out: Array) -> None:
    """Write ``scale · left @ right``, each element summed over the rank in float64, rounded once.

    Shapes: ``left`` (rows, rank), in float64, ``right`` as `strips` gives it, ``out`` (rows,
    columns); all contiguous, and the rank is 1 or more.
    Dtypes: ``out`` is float32 where the factors hold values of float32, else float64.
    """
    product = Product(wide=out.dtype == FLOAT64, strip=right.shape[2])
    shape = (*out.shape, left.shape[1])
    fused.multiply(product, _place(left), _place(right), _place(out), scale, shape)


def _signature(
    target: Array | None,
    deltas: Inputs,
    coefficients: Sequence[float],
    out: Array,
    dtype: DType,
    *,
    measures: bool = False,
) -> tuple[Signature, list[Array]]:
    parts = tuple(
        Part(KINDS[plus.dtype], None if minus is None else KINDS[minus.dtype], factor != 0)
        for (plus, minus), factor in zip(deltas, coefficients, strict=True)
    )
    inputs = [t for t in (target, *(t for pair in deltas for t in pair)) if t is not None]
    first = None if target is None else KINDS[target.dtype]
    return Signature(first, parts, KINDS[out.dtype], dtype == FLOAT64, measures), inputs


def places(arrays: Sequence[Array]) -> list[int]:
    """The addresses of arrays; they have to outlive what is done with them."""
    return [_place(array) for array in arrays]


def _place(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
