"""The stable rank of a delta, estimated without holding the delta."""

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.typing import NDArray

from rvec_merge.vector.blocks import DeltaReader, Window, in_order
from rvec_merge.vector.codec import BLOCK
from rvec_merge.vector.inputs import Vector

Matrix = NDArray[np.float64]
_DIRECTIONS = 4
_PASSES = 8


def stable_rank(vector: Vector, name: str, squares: float) -> float | None:
    """``‖v‖²_F / ‖v‖²₂`` of one matrix, the spectral norm by randomised subspace iteration.

    The estimate approaches the spectral norm from below, so the rank from above; eight passes over
    four directions come within a few per cent even where no direction stands out.

    Args:
        squares: ``‖v‖²_F``.

    Returns:
        None for what is no matrix, is zero, or has rows longer than a block.

    Source: subspace iteration, Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithm 4.4.
    """
    shape = vector.shapes[name]
    if len(shape) != 2 or squares == 0 or shape[1] > BLOCK:
        return None
    columns = shape[1]
    reader = DeltaReader(vector)
    width = min(_DIRECTIONS, *shape)
    drawn = np.random.default_rng(0).standard_normal((columns, width))
    directions = np.linalg.qr(drawn).Q
    spectral = 0.0
    for _ in range(_PASSES):
        basis = directions

        def image(window: Window, basis: Matrix = basis) -> Matrix:
            rows = reader.values(window).astype(np.float64).reshape(-1, columns)
            moved: Matrix = rows.T @ (rows @ basis)
            return moved

        moved = np.zeros_like(basis)
        for _, part in in_order(image, _row_windows(name, shape)):
            moved += part
        # The largest Ritz value of vᵀv in the span of the basis.
        spectral = float(np.linalg.eigvalsh(basis.T @ moved)[-1])
        directions = np.linalg.qr(moved).Q
    return squares / spectral


def _row_windows(name: str, shape: tuple[int, ...]) -> Iterator[Window]:
    """Whole rows, as many as a block holds."""
    step = BLOCK // shape[1] * shape[1]
    for start in range(0, prod(shape), step):
        yield Window(name, start, min(start + step, prod(shape)))
