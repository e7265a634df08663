"""The block loop, for every path: a tensor's windows through the kernel of its device."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rvec_merge.arithmetic.dtypes import Array, DType, accumulation_dtype
from rvec_merge.arithmetic.effect import Sample, Sums, measure
from rvec_merge.arithmetic.kernel import Delta, Source, inputs_of, non_finite
from rvec_merge.arithmetic.on_cpu import Inputs, merge_block
from rvec_merge.arithmetic.prepared import Controlled, prepared

CPU = "cpu"
Kernel = Callable[[Array, Inputs, Sequence[float], Array, DType], bool]
# Elements. What a block needs stays in the last cache; a shorter block spends its time in calls.
BLOCK = 1 << 18
# An accelerator's blocks make up for the time a kernel takes to launch and a copy to start.
_DEVICE_BLOCK = 1 << 23


def block_of(device: str) -> int:
    """Elements of a block on a device."""
    return BLOCK if device == CPU else _DEVICE_BLOCK


@dataclass(frozen=True)
class Merged:
    """One block of an output tensor.

    Attributes:
        start: its first element.
        values: in a buffer that the next block overwrites, unless the caller gave the memory.
        sums: of the strips in it that were measured, by their first element.
    """

    start: int
    values: Array
    sums: dict[int, Sums]


class BlockLoop:
    """One thread's way through tensors; its buffers are used again from block to block."""

    def __init__(self, device: str = CPU, block: int | None = None) -> None:
        self.block = block or block_of(device)
        self._merge = merge_block if device == CPU else _on_device(device, self.block)
        self._outs: dict[DType, Array] = {}

    def merge(
        self,
        target: Source,
        deltas: Sequence[Delta],
        out_dtype: DType,
        *,
        start: int = 0,
        stop: int | None = None,
        into: Array | None = None,
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
        stop = target.size if stop is None else stop
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
            strips = sample.strips(name, target.size, low, high) if sample else ()
            sums = measure(strips, low, *loaded, coefficients, scale, out, dtype)
            yield Merged(low, out, sums)

    def _out(self, dtype: DType) -> Array:
        if dtype not in self._outs:
            self._outs[dtype] = np.empty(self.block, dtype)
        return self._outs[dtype]


def _windows(
    target: Source, deltas: Sequence[Delta], low: int, high: int
) -> tuple[Array, list[tuple[Array, Array | None]]]:
    # A control reads other windows of sources that may be the target's or another delta's too,
    # and a window is valid until its source is read again: so controls come first.
    for delta in deltas:
        if isinstance(delta.plus, Controlled):
            _ = delta.plus[low:high]
    pairs = [(d.plus[low:high], None if d.minus is None else d.minus[low:high]) for d in deltas]
    return target[low:high], pairs


def _on_device(device: str, block: int) -> Kernel:
    from rvec_merge.arithmetic.on_device import DeviceKernel

    return DeviceKernel(device, block).merge_arrays
