"""Control vectors: the norm of the real one, and no skill in it.

A control is drawn in fixed blocks of the flattened tensor, each from its own counter-based stream,
always on the CPU. So it depends on nothing but the seed, the tensor's name and the delta: not on
the block size of the merge, the threads, or the device.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvec_merge.arithmetic.control_kinds import ControlKind

CONTROL_BLOCK = 1 << 16  # elements; part of the definition: another size is another control
_ROW = 1 << 10

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Control:
    """What replaces a delta, and the key of its random stream.

    Attributes:
        kind: ``random`` draws a Gaussian direction and gives each block its delta's norm;
            ``permuted`` shuffles the delta's own values within each block.
        seed: the recipe's seed.
        name: the output tensor's name.
        pair: the pair's name, so that two pairs get different draws.
    """

    kind: ControlKind
    seed: int
    name: str
    pair: str = "default"


def apply_control(control: Control, delta: Values, index: int) -> Values:
    """The control's values for block ``index`` of a delta.

    Shapes: ``delta`` is ``(n,)`` with n at most ``CONTROL_BLOCK``; so is the result.
    Dtypes: the result has the delta's.
    """
    key = f"{control.seed}\0{control.pair}\0{control.name}\0{index}"
    digest = hashlib.sha256(key.encode()).digest()[:16]
    stream = np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64)))
    if control.kind == "permuted":
        return delta[stream.permutation(delta.size)]
    draw = stream.standard_normal(delta.size)
    norm = _norm(draw)
    if norm == 0:
        return np.zeros_like(delta)
    return (draw * (_norm(delta) / norm)).astype(delta.dtype)


def _norm(values: Values) -> float:
    """The 2-norm in float64, its squares added in an order that no processor's width changes."""
    squares = np.zeros(-(-max(values.size, 1) // _ROW) * _ROW)
    np.square(values, out=squares[: values.size], dtype=np.float64)
    sums = squares.reshape(-1, _ROW).sum(axis=0)
    while sums.size > 1:
        sums = sums[: sums.size // 2] + sums[sums.size // 2 :]
    return float(np.sqrt(sums[0]))
