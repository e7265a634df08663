"""Merge one weight that torch holds, on the device where it lies."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from rvec_merge.arithmetic.dtypes import Array, DType, accumulation_dtype
from rvec_merge.arithmetic.kernel import Delta, Source, check_inputs, inputs_of, non_finite
from rvec_merge.arithmetic.loop import BLOCK, BlockLoop, block_of
from rvec_merge.arithmetic.on_device import DeviceKernel
from rvec_merge.arithmetic.prepared import prepared
from rvec_merge.arithmetic.tensors import array_of, numpy_dtype, tensor_of, torch_dtype


class TensorSource:
    """A tensor as a source: windows of its own memory, or copied from an accelerator.

    Memory: a copy of a tensor that is not contiguous.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.shape = tuple(tensor.shape)
        self.dtype: DType = numpy_dtype(tensor.dtype)
        self.tensor = tensor.detach().reshape(-1).contiguous()

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return prod(self.shape)

    def __getitem__(self, window: slice) -> Array:
        return array_of(self.tensor[window].cpu())


def merge_tensor(
    target: Tensor,
    deltas: Sequence[Delta],
    *,
    out_dtype: torch.dtype | None = None,
    block: int | None = None,
    threads: int = 1,
    name: str = "tensor",
    target_name: str = "target",
) -> Tensor:
    """Move one weight along its deltas: ``target + Σ coefficient · mask(plus − minus)``.

    Shapes: all inputs and the result are ``(*w,)``; nothing broadcasts.
    Dtypes: any mix of floating dtypes in. Accumulates in float32 (float64 if an input is float64)
        in the order of ``deltas``, rounds once, to ``out_dtype`` (default: the accumulation dtype).
        From float64 to 16 bits torch, and so mergekit, goes by way of float32.
    Threads: ``threads`` Python threads share the tensor.
    Memory: the result. A non-contiguous input costs one copy of it, a density below 1 about eight
        of the tensor in float32. Inputs are never written to.

    Args:
        deltas: their ``plus`` and ``minus`` may be tensors, on the target's device.

    Raises:
        IncompatibleTensorsError: shapes differ, or a dtype is not floating point.
        NonFiniteError: an input holds NaN or Inf, or the result overflows.

    Source: task-vector addition (Ilharco et al. 2023, arXiv:2212.04089) with the SFT donor in
    the place of the pre-trained model (arXiv:2509.01363).
    """
    ours = TensorSource(target)
    theirs = [_of_sources(delta) for delta in deltas]
    check_inputs(ours, theirs, name=name, target_name=target_name)
    dtype = accumulation_dtype([source.dtype for _, source in inputs_of(ours, theirs)])
    out = torch.empty(target.shape, dtype=out_dtype or torch_dtype(dtype), device=target.device)
    # A mask needs the whole delta's order: once, not once per thread.
    ready = [prepared(d, dtype) if d.density < 1 else d for d in theirs]
    if target.device.type != "cpu":
        if not _on_accelerator(ours, [prepared(d, dtype) for d in ready], out.view(-1), dtype):
            raise non_finite(ours, theirs, name=name, target_name=target_name)
        return out
    flat_out = array_of(out.view(-1))

    def merge(span: slice) -> None:
        loop = BlockLoop(block=block)
        for _ in loop.merge(
            ours,
            ready,
            flat_out.dtype,
            start=span.start,
            stop=span.stop,
            into=flat_out[span],
            name=name,
            target_name=target_name,
        ):
            pass

    spans = _spans(ours.size, threads, block or BLOCK)
    with ThreadPoolExecutor(threads) as pool:
        list(map(merge, spans) if len(spans) == 1 else pool.map(merge, spans))
    return out


def _of_sources(delta: Delta) -> Delta:
    minus = None if delta.minus is None else _source(delta.minus)
    return replace(delta, plus=_source(delta.plus), minus=minus)


def _source(values: Source | Tensor) -> Source:
    return TensorSource(values) if isinstance(values, Tensor) else values


def _on_accelerator(
    target: TensorSource, deltas: Sequence[Delta], out: Tensor, dtype: DType
) -> bool:
    """Write ``out`` where it lies; False if a value is not finite."""
    step = block_of(out.device.type)
    kernel = DeviceKernel(out.device, step)
    coefficients = [delta.coefficient for delta in deltas]

    def window(source: Source, span: slice) -> Tensor:
        return source.tensor[span] if isinstance(source, TensorSource) else tensor_of(source[span])

    for low in range(0, target.size, step):
        span = slice(low, min(low + step, target.size))
        pairs = [
            (window(d.plus, span), None if d.minus is None else window(d.minus, span))
            for d in deltas
        ]
        if not kernel.merge(window(target, span), pairs, coefficients, out[span], dtype):
            return False
    return True


def _spans(elements: int, count: int, block: int) -> list[slice]:
    """At most ``count`` parts of about the same number of whole blocks."""
    step = max(1, -(-elements // (block * count))) * block
    return [slice(low, min(low + step, elements)) for low in range(0, elements, step)]
