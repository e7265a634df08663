"""What an adapter of a vector loses, tensor by tensor."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np

from rvec_merge.arithmetic.kernel import Source
from rvec_merge.arithmetic.threads import one_thread_each
from rvec_merge.vector.blocks import DeltaReader, windows_of
from rvec_merge.vector.inputs import DonorPair


@dataclass(frozen=True)
class ModuleResidual:
    """What an adapter misses of one tensor.

    Attributes:
        norm: 2-norm of the exact delta.
        residual: norm of (delta − adapter), relative to ``norm``; 1 where the adapter has none.
    """

    tensor: str
    norm: float
    residual: float


@dataclass(frozen=True)
class LoraReport:
    """An adapter's rank and losses.

    Attributes:
        rank: of every adapted module, or less where a module is smaller.
        residual: over all tensors, adapted or not.
        modules: every tensor whose delta is not zero.
    """

    rank: int
    residual: float
    modules: tuple[ModuleResidual, ...]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the record beside the adapter says."""
        return {
            "rank": self.rank,
            "relative_residual": self.residual,
            "tensors": [asdict(module) for module in self.modules],
        }


def measured(rank: int, pair: DonorPair, approximation: Callable[[str], Source]) -> LoraReport:
    """Compare an adapter, as written, with the exact deltas.

    Args:
        approximation: what the adapter adds to a tensor.
    """
    reader = DeltaReader(pair)
    residuals = []
    with one_thread_each():
        for name, shape in pair.shapes.items():
            made = approximation(name)
            squares = lost = 0.0
            for window in windows_of(name, shape):
                exact = reader.values(window).astype(np.float64)
                squares += float(np.square(exact).sum())
                lost += float(np.square(exact - made[window.start : window.stop]).sum())
            if squares:
                residuals.append(ModuleResidual(name, sqrt(squares), sqrt(lost / squares)))
    squares = sum(r.norm**2 for r in residuals)
    lost = sum((r.norm * r.residual) ** 2 for r in residuals)
    return LoraReport(rank, sqrt(lost / squares) if squares else 0.0, tuple(residuals))
