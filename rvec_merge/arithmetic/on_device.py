"""One block on an accelerator, by torch's passes: the steps and the bits of the fused kernels.

It was run on an NVIDIA H100; torch computes on a CPU in the same way, which the tests compare.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rvec_merge.arithmetic.dtypes import Array, DType
from rvec_merge.arithmetic.on_cpu import Inputs
from rvec_merge.arithmetic.tensors import tensor_of, torch_dtype


class DeviceKernel:
    """One thread's buffers on a device, and its stream.

    Inputs that lie in the host's memory are copied there by way of pinned memory, and so is what
    is written; copies overlap the arithmetic of other threads.
    """

    def __init__(self, device: str | torch.device, block: int) -> None:
        self._device = torch.device(device)
        self._block = block
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def merge_arrays(
        self,
        target: Array,
        deltas: Inputs,
        coefficients: Sequence[float],
        out: Array,
        dtype: DType,
    ) -> bool:
        """See ``merge_block``. The block's inputs may be overwritten when it returns."""
        pairs = [(tensor_of(p), None if m is None else tensor_of(m)) for p, m in deltas]
        return self.merge(tensor_of(target), pairs, coefficients, tensor_of(out), dtype)

    def merge(
        self,
        target: Tensor,
        deltas: Sequence[tuple[Tensor, Tensor | None]],
        coefficients: Sequence[float],
        out: Tensor,
        dtype: DType,
    ) -> bool:
        """The same of tensors that lie on the device already, or in the host's memory."""
        if self._stream is None:
            return self._merge(target, deltas, coefficients, out, dtype)
        # What lies there already was written by the caller's stream, which reads what is written.
        theirs = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(theirs)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            finite = self._merge(target, deltas, coefficients, out, dtype)
        theirs.wait_stream(self._stream)
        return finite

    def _merge(
        self,
        target: Tensor,
        deltas: Sequence[tuple[Tensor, Tensor | None]],
        coefficients: Sequence[float],
        out: Tensor,
        accumulated: DType,
    ) -> bool:
        dtype = torch_dtype(accumulated)
        total = self._moved("target", target).to(dtype, copy=True)
        finite = torch.ones((), dtype=torch.bool, device=self._device)
        for index, (pair, coefficient) in enumerate(zip(deltas, coefficients, strict=True)):
            plus, minus = (
                None if t is None else self._moved(f"{side}{index}", t).to(dtype)
                for side, t in zip(("plus", "minus"), pair, strict=True)
            )
            assert plus is not None
            part = plus if minus is None else plus - minus
            if coefficient == 0:  # adding 0 would turn a target's -0.0 into 0.0
                finite &= torch.isfinite(part).all()
            else:
                # Two steps: a fused pair rounds once on some devices and twice on others.
                total += part if coefficient == 1 else part * coefficient
        written = total.to(out.dtype)
        finite &= torch.isfinite(written).all()
        out.copy_(written)  # waits, if ``out`` is the host's
        return bool(finite)

    def _moved(self, name: str, values: Tensor) -> Tensor:
        if values.device == self._device:
            return values
        pinned = self._buffer(name, values.dtype)[: values.numel()]
        return pinned.copy_(values).to(self._device, non_blocking=True)

    def _buffer(self, name: str, dtype: torch.dtype) -> Tensor:
        key = (name, dtype)
        if key not in self._buffers:
            pin = self._device.type == "cuda"
            self._buffers[key] = torch.empty(self._block, dtype=dtype, pin_memory=pin)
        return self._buffers[key]
