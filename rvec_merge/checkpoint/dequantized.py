"""FP8 weights with their scales, read as the float32 that they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, prod
from typing import Any, TypeAlias

import numpy as np

from rvec_merge.arithmetic.dtypes import FLOAT8, FLOAT32, Array, is_weight
from rvec_merge.arithmetic.kernel import Source, by_rows
from rvec_merge.checkpoint.tensor import TensorInfo
from rvec_merge.checkpoint.weights import View, Weights, layers

_SCALES = ("_scale_inv", "_scale")  # behind a weight's name; both are what it is multiplied by
_ACTIVATIONS = (".input_scale", ".activation_scale")  # of what is computed, not of what is stored
_BLOCK = (128, 128)
Block: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Dequantized(View):
    """A checkpoint in FP8 with its scales, as float32; see ``weights.Weights``.

    As DeepSeek and Qwen publish them (one scale for each block of 128 × 128), with one for a whole
    tensor, or with one for each row: ``value · scale``, rounded once, to float32.

    Attributes:
        base: the checkpoint.
        scales: of each weight that has any.
        block: rows and columns that share a scale.
    """

    scales: Mapping[str, TensorInfo]
    block: Block

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """The weights, without the scales."""
        scales = {info.name for info in self.scales.values()}
        return {
            name: self._info(info)
            for name, info in self.base.tensors.items()
            if name not in scales and not name.endswith(_ACTIVATIONS)
        }

    def source(self, name: str) -> Source:
        """One tensor, for one thread to read."""
        stored = self.base.source(name)
        if name not in self.scales:
            return stored
        return Scaled(stored, self.base.source(self.scales[name].name), self.block)

    def _info(self, info: TensorInfo) -> TensorInfo:
        scale = self.scales.get(info.name)
        if scale is None:
            return info
        return replace(info, dtype=FLOAT32, start=-1, nbytes=info.nbytes + scale.nbytes)


class Scaled:
    """A matrix of 8-bit floats times its scales.

    Shapes: ``scale`` holds one number, or one for each row, or for each block.
    """

    def __init__(self, stored: Source, scale: Source, block: Block) -> None:
        self.dtype = FLOAT32
        self.shape = tuple(stored.shape)
        self._stored = stored
        self._scale = scale
        self._rows, self._columns = block
        self._factors: Array | None = None

    @property
    def origin(self) -> object:
        """Where its values lie, as of what it is read from."""
        return getattr(self._stored, "origin", None)

    @property
    def size(self) -> int:
        """Elements of the matrix."""
        return prod(self.shape)

    def __getitem__(self, window: slice) -> Array:
        return by_rows(window, self.size, self.shape[-1], self._scaled, FLOAT32)

    def _scaled(self, first: int, last: int) -> Array:
        columns = self.shape[-1]
        values = self._stored[first * columns : last * columns].astype(FLOAT32)
        rows = values.reshape(-1, columns)
        rows *= self._of_rows(first, last)
        return rows

    def _of_rows(self, first: int, last: int) -> Array:
        """The factors of some rows, (rows, columns) or what broadcasts to it."""
        if self._factors is None:
            self._factors = self._scale[: self._scale.size].astype(FLOAT32)
        factors, (height, columns) = self._factors, (prod(self.shape[:-1]), self.shape[-1])
        if factors.size == 1:
            return factors.reshape(1, 1)
        if factors.size == height and self._scale.shape[-1] != ceil(columns / self._columns):
            return factors[first:last].reshape(-1, 1)
        grid = factors.reshape(ceil(height / self._rows), -1)
        blocks = grid[np.arange(first, last) // self._rows]
        return np.repeat(blocks, self._columns, axis=1)[:, :columns]


def dequantized(checkpoint: Weights) -> Weights:
    """A checkpoint in FP8 as what it stands for; any other one as it is.

    So too one whose 8-bit weights do not all have scales of a known shape.
    """
    tensors = checkpoint.tensors
    narrow = {name: info for name, info in tensors.items() if info.dtype in FLOAT8}
    if not narrow or checkpoint.pickled:
        return checkpoint
    block = _block(checkpoint.config)
    scales = {}
    for name, info in narrow.items():
        found = next((tensors[name + end] for end in _SCALES if name + end in tensors), None)
        if found is None or not is_weight(found.dtype) or not _fits(info.shape, found.shape, block):
            return checkpoint
        scales[name] = found
    return Dequantized(checkpoint, scales, block)


def is_scaled(weights: Weights) -> bool:
    """Whether weights are FP8 with scales, and stand for the float32 that they mean."""
    return any(isinstance(layer, Dequantized) for layer in layers(weights))


def _block(config: Mapping[str, Any]) -> Block:
    stated = config.get("quantization_config")
    size = stated.get("weight_block_size") if isinstance(stated, dict) else None
    if isinstance(size, list) and len(size) == 2 and all(type(n) is int and n > 0 for n in size):
        return size[0], size[1]
    return _BLOCK


def _fits(shape: tuple[int, ...], scale: tuple[int, ...], block: Block) -> bool:
    if prod(scale) == 1:
        return bool(shape)
    if len(shape) != 2:
        return False
    grid = tuple(ceil(length / part) for length, part in zip(shape, block, strict=True))
    return scale in ((shape[0],), (shape[0], 1), grid)
