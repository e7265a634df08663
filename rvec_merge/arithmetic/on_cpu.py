"""One block on a CPU, by the fused kernels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rvec_merge.arithmetic import fused
from rvec_merge.arithmetic.ir import Kind, Part, Signature

Inputs = Sequence[tuple[Tensor, Tensor | None]]  # each delta's plus and minus
_KINDS: dict[torch.dtype, Kind] = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.float64: "F64",
}


def merge_block(
    target: Tensor | None,
    deltas: Inputs,
    coefficients: Sequence[float],
    out: Tensor,
    dtype: torch.dtype,
) -> bool:
    """Write ``target + Σ coefficient · (plus − minus)``; False if a value is not finite.

    Without a target the bare differences are added up.

    Shapes: every tensor is ``(n,)`` and contiguous; ``out`` overlaps no input.
    Dtypes: accumulates in ``dtype``, float32 or float64.
    """
    signature, inputs = _signature(target, deltas, coefficients, out, dtype)
    used = [c for c in coefficients if c != 0]
    return fused.merge(signature, _places(inputs), used, out.data_ptr(), out.numel())


def measure_block(
    target: Tensor,
    deltas: Inputs,
    coefficients: Sequence[float],
    out: Tensor,
    dtype: torch.dtype,
) -> list[float]:
    """What `ir.module_of` says a measuring kernel gives, of what was written to ``out``."""
    signature, inputs = _signature(target, deltas, coefficients, out, dtype, measures=True)
    used = [c for c in coefficients if c != 0]
    return fused.measure(signature, _places([*inputs, out]), used, out.numel())


def _signature(
    target: Tensor | None,
    deltas: Inputs,
    coefficients: Sequence[float],
    out: Tensor,
    dtype: torch.dtype,
    *,
    measures: bool = False,
) -> tuple[Signature, list[Tensor]]:
    parts = tuple(
        Part(_KINDS[plus.dtype], None if minus is None else _KINDS[minus.dtype], factor != 0)
        for (plus, minus), factor in zip(deltas, coefficients, strict=True)
    )
    inputs = [t for t in (target, *(t for pair in deltas for t in pair)) if t is not None]
    first = None if target is None else _KINDS[target.dtype]
    return Signature(first, parts, _KINDS[out.dtype], dtype == torch.float64, measures), inputs


def _places(tensors: Sequence[Tensor]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]
