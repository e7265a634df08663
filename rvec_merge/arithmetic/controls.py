"""Control vectors: the norm of the real one, and no skill in it.

A control is drawn in fixed blocks of the flattened tensor, each from its own counter-based stream,
always on the CPU. So it depends on nothing but the seed, the tensor's name and the delta: not on
the block size of the merge, the threads, or the device.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rvec_merge.arithmetic.control_kinds import ControlKind

CONTROL_BLOCK = 1 << 16  # elements; part of the definition: another size is another control
_ROW = 1 << 10


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


def apply_control(control: Control, delta: Tensor, index: int) -> Tensor:
    """The control's values for block ``index`` of a delta.

    Shapes: ``delta`` is ``(n,)`` with n at most ``CONTROL_BLOCK``; so is the result.
    Dtypes: the result has the delta's.
    """
    key = f"{control.seed}\0{control.pair}\0{control.name}\0{index}"
    digest = hashlib.sha256(key.encode()).digest()[:16]
    stream = np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64)))
    if control.kind == "permuted":
        order = torch.from_numpy(stream.permutation(delta.numel()))
        return delta[order.to(delta.device)]
    draw = torch.from_numpy(stream.standard_normal(delta.numel())).to(delta.device)
    norm = _norm(draw)
    if norm == 0:
        return torch.zeros_like(delta)
    return (draw * (_norm(delta) / norm)).to(delta.dtype)


def _norm(values: Tensor) -> float:
    """The 2-norm in float64, summed in fixed rows so that threads cannot reorder it."""
    squares = torch.zeros(-(-max(values.numel(), 1) // _ROW) * _ROW, dtype=torch.float64)
    squares[: values.numel()] = values.detach().cpu().double().square()
    return float(squares.view(-1, _ROW).sum(dim=1).sum().sqrt())
