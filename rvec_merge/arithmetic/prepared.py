"""Masks and controls as inputs: a delta that has one becomes a source of its own."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rvec_merge.arithmetic.buffers import take
from rvec_merge.arithmetic.controls import CONTROL_BLOCK, apply_control
from rvec_merge.arithmetic.density import largest
from rvec_merge.arithmetic.dtypes import Array, DType
from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.on_cpu import merge_block


def prepared(delta: Delta, dtype: DType) -> Delta:
    """A delta whose ``plus`` is the masked difference, or its control, if it has one.

    Dtypes: ``dtype`` is that of accumulation.
    Memory: tensor-sized for a density below 1, because the mask needs the whole delta's order.
    """
    delta = _sparsified(delta, dtype)
    if delta.control is None:
        return delta
    return replace(delta, plus=Controlled(delta, dtype), minus=None, control=None)


class Controlled:
    """A delta's control, as a source.

    It is computed on the CPU, in whole control blocks; the last window is kept, so that a part of
    it costs nothing.
    """

    def __init__(self, delta: Delta, dtype: DType) -> None:
        self.dtype = dtype
        self.shape = tuple(delta.plus.shape)
        self._delta = delta
        self._kept = (0, np.empty(0, dtype))

    @property
    def size(self) -> int:
        """Elements of the delta."""
        return self._delta.plus.size

    def __getitem__(self, window: slice) -> Array:
        start, stop, _ = window.indices(self.size)
        low, values = self._kept
        if not low <= start <= stop <= low + values.size:
            low = start // CONTROL_BLOCK * CONTROL_BLOCK
            blocks = [np.empty(0, self.dtype), *self._blocks(start, stop)]
            values = np.concatenate(blocks)
            self._kept = (low, values)
        return values[start - low : stop - low]

    def _blocks(self, start: int, stop: int) -> Iterator[Array]:
        control = self._delta.control
        assert control is not None
        for index in range(start // CONTROL_BLOCK, -(-stop // CONTROL_BLOCK)):
            low = index * CONTROL_BLOCK
            high = min(low + CONTROL_BLOCK, self.size)
            values = difference(self._delta, low, high, self.dtype)
            yield apply_control(control, values, index)


def difference(delta: Delta, start: int, stop: int, dtype: DType) -> Array:
    """Elements ``start`` to ``stop`` of ``plus − minus``, in memory of their own."""
    out = take(stop - start, dtype)
    minus = None if delta.minus is None else delta.minus[start:stop]
    merge_block(None, [(delta.plus[start:stop], minus)], [1.0], out, dtype)
    return out


def _sparsified(delta: Delta, dtype: DType) -> Delta:
    if delta.density >= 1:
        return delta
    whole = difference(delta, 0, delta.plus.size, dtype)
    if not np.isfinite(whole).all():
        return delta  # the merge itself finds and names the culprit
    return replace(delta, plus=largest(whole, delta.density), minus=None, density=1.0)
