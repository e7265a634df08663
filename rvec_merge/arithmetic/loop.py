"""The block loop, for every path: a tensor's windows through the kernel of its device."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from rvec_merge.arithmetic.effect import Sample, Sums, measure
from rvec_merge.arithmetic.kernel import (
    Delta,
    Source,
    accumulation_dtype,
    check_inputs,
    flattened,
    inputs_of,
    non_finite,
)
from rvec_merge.arithmetic.on_cpu import merge_block
from rvec_merge.arithmetic.on_device import DeviceKernel
from rvec_merge.arithmetic.prepared import Controlled, prepared

CPU = torch.device("cpu")
# Elements. What a block needs stays in the last cache; a shorter block spends its time in calls.
BLOCK = 1 << 18
# An accelerator's blocks make up for the time a kernel takes to launch and a copy to start.
_DEVICE_BLOCK = 1 << 23


def block_of(device: torch.device) -> int:
    """Elements of a block on a device."""
    return BLOCK if device.type == "cpu" else _DEVICE_BLOCK


@dataclass(frozen=True)
class Merged:
    """One block of an output tensor.

    Attributes:
        start: its first element.
        values: in a buffer that the next block overwrites, unless the caller gave the memory.
        sums: of the strips in it that were measured, by their first element.
    """

    start: int
    values: Tensor
    sums: dict[int, Sums]


class BlockLoop:
    """One thread's way through tensors; its buffers are used again from block to block."""

    def __init__(self, device: torch.device = CPU, block: int | None = None) -> None:
        self.block = block or block_of(device)
        self._device = device
        self._merge = (
            merge_block if device.type == "cpu" else DeviceKernel(device, self.block).merge
        )
        self._outs: dict[torch.dtype, Tensor] = {}

    def merge(
        self,
        target: Source,
        deltas: Sequence[Delta],
        out_dtype: torch.dtype,
        *,
        start: int = 0,
        stop: int | None = None,
        into: Tensor | None = None,
        sample: Sample | None = None,
        scale: float = 1.0,
        name: str = "tensor",
        target_name: str = "target",
    ) -> Iterator[Merged]:
        """Blocks of ``target + Σ coefficient · mask(plus − minus)``, from ``start`` to ``stop``.

        Shapes: the inputs are whole flattened tensors, ``(w,)``, or are read as such.
        Dtypes: accumulates in float32 (float64 if an input is float64) in the order of the
            deltas, and rounds once, to ``out_dtype``.

        Args:
            into: the flat memory of elements ``start`` to ``stop``, to be written itself.
            sample: which strips to measure; none without it.
            scale: the deltas' shared scale, for what is measured.

        Raises:
            NonFiniteError: an input holds NaN or Inf, or the result overflows.
        """
        stop = target.numel() if stop is None else stop
        dtype = accumulation_dtype([source.dtype for _, source in inputs_of(target, deltas)])
        ready = [prepared(delta, dtype) for delta in deltas]
        coefficients = [delta.coefficient for delta in ready]
        for low in range(start, stop, self.block):
            high = min(low + self.block, stop)
            place = self._out(out_dtype) if into is None else into[low - start :]
            out = place[: high - low]
            loaded = _windows(target, ready, low, high)
            if not self._merge(*loaded, coefficients, out, dtype):
                raise non_finite(target, deltas, name=name, target_name=target_name)
            strips = sample.strips(name, target.numel(), low, high) if sample else ()
            sums = measure(strips, low, *loaded, coefficients, scale, out, dtype)
            yield Merged(low, out, sums)

    def _out(self, dtype: torch.dtype) -> Tensor:
        if dtype not in self._outs:
            self._outs[dtype] = torch.empty(self.block, dtype=dtype)
        return self._outs[dtype]


def _windows(
    target: Source, deltas: Sequence[Delta], low: int, high: int
) -> tuple[Tensor, list[tuple[Tensor, Tensor | None]]]:
    # A control reads other windows of sources that may be the target's or another delta's too,
    # and a window is valid until its source is read again: so controls come first.
    for delta in deltas:
        if isinstance(delta.plus, Controlled):
            _ = delta.plus[low:high]
    pairs = [(d.plus[low:high], None if d.minus is None else d.minus[low:high]) for d in deltas]
    return target[low:high], pairs


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

    Raises:
        IncompatibleTensorsError: shapes differ, or a dtype is not floating point.
        NonFiniteError: an input holds NaN or Inf, or the result overflows.

    Source: task-vector addition (Ilharco et al. 2023, arXiv:2212.04089) with the SFT donor in
    the place of the pre-trained model (arXiv:2509.01363).
    """
    check_inputs(target, deltas, name=name, target_name=target_name)
    dtype = accumulation_dtype([source.dtype for _, source in inputs_of(target, deltas)])
    out = torch.empty(target.shape, dtype=out_dtype or dtype, device=target.device)
    flat, flat_out = target.reshape(-1).contiguous(), out.view(-1)
    # A mask needs the whole delta's order: once, not once per thread.
    ready = [prepared(d, dtype) if d.density < 1 else d for d in (flattened(d) for d in deltas)]

    def merge(span: slice) -> None:
        loop = BlockLoop(target.device, block)
        spans = {"start": span.start, "stop": span.stop, "into": flat_out[span]}
        for _ in loop.merge(flat, ready, out.dtype, **spans, name=name, target_name=target_name):
            pass

    spans = _spans(flat.numel(), threads, block or BLOCK)
    with ThreadPoolExecutor(threads) as pool:
        list(map(merge, spans) if len(spans) == 1 else pool.map(merge, spans))
    return out


def _spans(elements: int, count: int, block: int) -> list[slice]:
    """At most ``count`` parts of about the same number of whole blocks."""
    step = max(1, -(-elements // (block * count))) * block
    return [slice(low, min(low + step, elements)) for low in range(0, elements, step)]
