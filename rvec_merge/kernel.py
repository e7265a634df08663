"""The tensor arithmetic, for every path: ``target + Σ coefficient · mask(plus − minus)``.

Torch only. Works block by block, so no temporary is larger than a block, and gives the same bits
for any block size and thread count: every step is one correctly rounded elementwise operation
(multiply and add stay apart, since a fused pair rounds once on some devices and twice on others).
It was run on x86 CPUs and on an H100, with the same bits; no other device was tried.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from rvec_merge.controls import CONTROL_BLOCK, Control, apply_control
from rvec_merge.errors import IncompatibleTensorsError, NonFiniteError

# Elements. What a block needs stays in the last cache; a shorter block spends its time in torch's
# and Python's per-call overhead, of which the threads of a merge can do only one at a time.
BLOCK = 1 << 18


class Source(Protocol):
    """Where an input's values come from: a ``Tensor``, or anything that is read by windows of it.

    A window of elements of the flattened tensor is a ``(stop - start,)`` tensor, valid until the
    source is next read; so a source belongs to one thread.
    """

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def numel(self) -> int: ...

    def __getitem__(self, window: slice, /) -> Tensor: ...


@dataclass(frozen=True)
class Delta:
    """One pair's part in one tensor: ``coefficient · mask(plus − minus)``.

    Attributes:
        plus: the ``grpo`` donor's tensor or source, or a task vector's.
        minus: the ``sft`` donor's; None where ``plus`` already is a difference.
        coefficient: scale · weight, applied as a float32 (float64 in float64 merges).
        density: share of elements kept, the largest in magnitude.
        control: replaces the masked delta by a control of the same norm.
        plus_name, minus_name: how an error calls the two inputs.
    """

    plus: Source
    minus: Source | None
    coefficient: float
    density: float = 1.0
    control: Control | None = None
    plus_name: str = "grpo"
    minus_name: str = "sft"

    @property
    def inputs(self) -> list[tuple[str, Source]]:
        """The named tensors this delta reads."""
        pair = [(self.plus_name, self.plus)]
        return pair if self.minus is None else [*pair, (self.minus_name, self.minus)]


def accumulation_dtype(dtypes: Sequence[torch.dtype]) -> torch.dtype:
    """float64 if any input is, else float32."""
    return torch.float64 if torch.float64 in dtypes else torch.float32


def merge_tensor(
    target: Tensor,
    deltas: Sequence[Delta],
    *,
    out_dtype: torch.dtype | None = None,
    block: int = BLOCK,
    threads: int = 1,
    name: str = "tensor",
    target_name: str = "target",
) -> Tensor:
    """Move one weight along its deltas: ``target + Σ coefficient · mask(plus − minus)``.

    Shapes: all inputs and the result are ``(*w,)``; nothing broadcasts.
    Dtypes: any mix of floating dtypes in. Accumulates in float32 (float64 if an input is float64)
        in the order of ``deltas``, rounds once, to ``out_dtype`` (default: the accumulation dtype).
        From float64 to 16 bits torch, and so mergekit, goes by way of float32.
    Threads: ``threads`` Python threads share the tensor; torch should be set to one of its own.
    Memory: the result and three blocks per thread. A non-contiguous input costs one copy of it, a
        density below 1 about eight of the tensor in float32. Inputs are never written to.

    Raises:
        IncompatibleTensorsError: shapes differ, or a dtype is not floating point.
        NonFiniteError: an input holds NaN or Inf, or the result overflows.

    Source: task-vector addition (Ilharco et al. 2023, arXiv:2212.04089) with the SFT donor in
    the place of the pre-trained model (arXiv:2509.01363).
    """
    check_inputs(target, deltas, name=name, target_name=target_name)
    dtype = accumulation_dtype([target.dtype, *(t.dtype for d in deltas for _, t in d.inputs)])
    ready = [sparsified(flattened(d), dtype) for d in deltas]
    out = torch.empty(target.shape, dtype=out_dtype or dtype, device=target.device)
    flat, flat_out = target.reshape(-1), out.view(-1)

    def merge(span: slice) -> bool:
        merger = BlockMerger(dtype, target.device, block)
        return merger.merge(flat, ready, flat_out[span], span.start)

    spans = _spans(flat.numel(), threads, block)
    with ThreadPoolExecutor(threads) as pool:
        finite = [merge(spans[0])] if len(spans) == 1 else list(pool.map(merge, spans))
    if not all(finite):
        whole = [flattened(d) for d in deltas]
        raise non_finite(flat, whole, name=name, target_name=target_name)
    return out


def _spans(elements: int, count: int, block: int) -> list[slice]:
    """At most ``count`` parts of about the same number of whole blocks."""
    step = max(1, -(-elements // (block * count))) * block
    return [slice(low, min(low + step, elements)) for low in range(0, elements, step)]


class BlockMerger:
    """Buffers of one block, and the loop that runs the arithmetic through them.

    One per thread: the buffers are reused from call to call.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, block: int = BLOCK) -> None:
        self.dtype = dtype
        self.block = block
        buffers = torch.empty((3, block), dtype=dtype, device=device)
        self._sum: Tensor = buffers[0]
        self._delta: Tensor = buffers[1]
        self._wide: Tensor = buffers[2]

    def merge(self, target: Source, deltas: Sequence[Delta], out: Tensor, start: int = 0) -> bool:
        """Write ``target + Σ coefficient · delta`` to ``out``; False if a value is not finite.

        Shapes: ``out`` is ``(n,)`` and receives elements ``start`` to ``start + n`` of the
            flattened tensor; the inputs are the whole flattened tensor, ``(w,)``.
        Dtypes: ``out`` is any floating dtype and is rounded to once.
        """
        finite = _FiniteCheck(out.device)
        for low in range(0, out.numel(), self.block):
            high = min(low + self.block, out.numel())
            window = out[low:high]
            buffer = window if window.dtype == self.dtype else self._sum[: high - low]
            total = self._widened(target[start + low : start + high], buffer)
            for delta in deltas:
                part = self.delta(delta, start + low, start + high)
                if delta.coefficient == 0:  # adding 0 would turn a target's -0.0 into 0.0
                    finite.see(part)
                    continue
                if delta.coefficient != 1:
                    part = torch.mul(part, delta.coefficient, out=self._delta[: high - low])
                total = torch.add(total, part, out=buffer)
            if total is not window:
                window.copy_(total)
            finite.see(window)  # rounding may overflow
        return finite.passed

    def delta(self, delta: Delta, start: int, stop: int) -> Tensor:
        """Elements ``start`` to ``stop`` of one delta, control applied, coefficient not.

        Returns a buffer that the next call overwrites, at most one block long.
        """
        if delta.control is None:
            return self._difference(delta, start, stop)
        out = self._delta[: stop - start]
        for low, block in _control_blocks(delta, start, stop, self.dtype, out.device):
            first, last = max(low, start), min(low + block.numel(), stop)
            out[first - start : last - start] = block[first - low : last - low]
        return out

    def _difference(self, delta: Delta, start: int, stop: int) -> Tensor:
        out = self._delta[: stop - start].copy_(delta.plus[start:stop])
        if delta.minus is None:
            return out
        return out.sub_(self._widened(delta.minus[start:stop], self._wide[: stop - start]))

    def _widened(self, values: Tensor, buffer: Tensor) -> Tensor:
        # torch would widen to fresh memory, whose first touch costs more than the arithmetic.
        return values if values.dtype == self.dtype else buffer.copy_(values)


def sparsified(delta: Delta, dtype: torch.dtype) -> Delta:
    """The delta with its density mask applied, by mergekit's own ``magnitude`` sparsifier.

    Memory: tensor-sized, because the mask needs the whole delta's order; a delta of density 1 is
        returned as it is. Always on the CPU: sorting breaks ties differently on another device.
    """
    if delta.density >= 1:
        return delta
    from mergekit.sparsify import SparsificationMethod, sparsify

    whole = delta.plus[0 : delta.plus.numel()].to(dtype)
    if delta.minus is not None:
        whole = whole - delta.minus[0 : delta.minus.numel()].to(dtype)
    if not torch.isfinite(whole).all():
        return delta  # the merge itself finds and names the culprit
    kept = sparsify(whole.cpu(), density=delta.density, method=SparsificationMethod.magnitude)
    return replace(delta, plus=kept.to(whole.device), minus=None, density=1.0)


def is_weight(dtype: torch.dtype) -> bool:
    """Whether values of that dtype can be added; 8 bits mean nothing without their scales."""
    return dtype.is_floating_point and dtype.itemsize > 1


def check_inputs(
    target: Source, deltas: Sequence[Delta], *, name: str, target_name: str = "target"
) -> None:
    """Refuse inputs that differ in shape or are not floating point of 16 bits or more.

    Raises:
        IncompatibleTensorsError: with every input's name, shape and dtype.
    """
    named = [(target_name, target), *(item for d in deltas for item in d.inputs)]
    if all(t.shape == target.shape and is_weight(t.dtype) for _, t in named):
        return
    width = max(len(label) for label, _ in named)
    raise IncompatibleTensorsError(
        f"Inputs of {name} do not fit together.",
        [f"{label:{width}}  {tuple(t.shape)}  {t.dtype}" for label, t in named],
        "use checkpoints of one architecture, with weights of 16 bits or more.",
    )


def non_finite(
    target: Source, deltas: Sequence[Delta], *, name: str, target_name: str = "target"
) -> NonFiniteError:
    """The error that names which inputs of ``name`` hold NaN or Inf, and how many.

    Shapes: every input is flat, ``(w,)`` or read as such.
    """
    facts = []
    for label, source in [(target_name, target), *(item for d in deltas for item in d.inputs)]:
        bad = sum(
            int((~torch.isfinite(source[low : min(low + BLOCK, source.numel())])).sum())
            for low in range(0, source.numel(), BLOCK)
        )
        if bad:
            facts.append(f"{label}: {bad} of {source.numel()} values are NaN or Inf")
    if facts:
        fix = "use an intact checkpoint; a download or a training run has gone wrong."
        return NonFiniteError(f"An input of {name} is not finite.", facts, fix)
    return NonFiniteError(
        f"The merged {name} overflows.",
        ["every input is finite, the result is not"],
        "use a smaller scale, or out_dtype: float32.",
    )


def _control_blocks(
    delta: Delta, start: int, stop: int, dtype: torch.dtype, device: torch.device
) -> Iterator[tuple[int, Tensor]]:
    """Whole control blocks that overlap ``start``-``stop``, each with its first element's index."""
    assert delta.control is not None
    buffers = BlockMerger(dtype, device, CONTROL_BLOCK)
    for index in range(start // CONTROL_BLOCK, -(-stop // CONTROL_BLOCK)):
        low = index * CONTROL_BLOCK
        high = min(low + CONTROL_BLOCK, delta.plus.numel())
        plain = buffers._difference(delta, low, high)
        yield low, apply_control(delta.control, plain, index)


class _FiniteCheck:
    """Whether every block seen was finite; on a GPU without waiting for each one."""

    def __init__(self, device: torch.device) -> None:
        self._all = torch.ones((), dtype=torch.bool, device=device)

    def see(self, values: Tensor) -> None:
        # A sum is one fast pass; if it overflows although its terms are finite, look again.
        if values.device.type != "cpu" or not math.isfinite(values.sum().item()):
            self._all &= torch.isfinite(values).all()

    @property
    def passed(self) -> bool:
        return bool(self._all)


def flattened(delta: Delta) -> Delta:
    """The delta with inputs of shape ``(w,)``; copies only what is not contiguous."""
    minus = None if delta.minus is None else _flat(delta.minus)
    return replace(delta, plus=_flat(delta.plus), minus=minus)


def _flat(source: Source) -> Source:
    return source.reshape(-1) if isinstance(source, Tensor) else source  # others are flat already
