"""What is merged, for every path: ``target + Σ coefficient · mask(plus − minus)``, defined.

The same bits come out for any block size, thread count and device, because every step is one
correctly rounded elementwise operation (multiply and add stay apart, since a fused pair rounds
once on some devices and twice on others). It was run on x86 CPUs and on an H100, with the same
bits; no other device was tried.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rvec_merge.arithmetic.controls import Control
from rvec_merge.arithmetic.dtypes import Array, DType, is_weight
from rvec_merge.errors import IncompatibleTensorsError, NonFiniteError

_CHUNK = 1 << 18  # elements


class Source(Protocol):
    """Where an input's values come from: a flat array, or anything that is read by windows of it.

    A window of elements of the flattened tensor is a ``(stop - start,)`` array, valid until the
    source is next read; so a source belongs to one thread.
    """

    @property
    def dtype(self) -> DType: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def size(self) -> int: ...

    def __getitem__(self, window: slice, /) -> Array: ...


def by_rows(
    window: slice, size: int, columns: int, rows: Callable[[int, int], Array], dtype: DType
) -> Array:
    """A window of what can be made by whole rows alone.

    Args:
        size, columns: elements of all of it, and of a row.
        rows: gives rows from the first to before the second, in memory of their own.
    """
    start, stop, _ = window.indices(size)
    if start >= stop:
        return np.empty(0, dtype)
    first, last = start // columns, -(-stop // columns)
    return rows(first, last).reshape(-1)[start - first * columns : stop - first * columns]


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


def inputs_of(
    target: Source, deltas: Sequence[Delta], target_name: str = "target"
) -> list[tuple[str, Source]]:
    """Everything that is read, by the name that errors give it."""
    return [(target_name, target), *(item for delta in deltas for item in delta.inputs)]


def check_inputs(
    target: Source, deltas: Sequence[Delta], *, name: str, target_name: str = "target"
) -> None:
    """Refuse inputs that differ in shape or are not floating point of 16 bits or more.

    Raises:
        IncompatibleTensorsError: with every input's name, shape and dtype.
    """
    named = inputs_of(target, deltas, target_name)
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
    for label, source in inputs_of(target, deltas, target_name):
        bad = sum(
            int(np.count_nonzero(~np.isfinite(source[low : min(low + _CHUNK, source.size)])))
            for low in range(0, source.size, _CHUNK)
        )
        if bad:
            facts.append(f"{label}: {bad} of {source.size} values are NaN or Inf")
    if facts:
        fix = "use an intact checkpoint; a download or a training run has gone wrong."
        return NonFiniteError(f"An input of {name} is not finite.", facts, fix)
    return NonFiniteError(
        f"The merged {name} overflows.",
        ["every input is finite, the result is not"],
        "use a smaller scale, or out_dtype: float32.",
    )
