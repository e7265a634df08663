"""What engines have in common: how a cell is attempted, and what comes back."""

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from rvec_merge.errors import why
from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.runner import CellRunner, Evaluated, Items


@dataclass(frozen=True)
class Failed:
    """A cell that could not be run.

    Attributes:
        reason: in one line.
        trace: the traceback, or what was seen of the workers that died.
    """

    cell: Cell
    reason: str
    trace: str


class Engine(Protocol):
    """Runs cells somewhere. What comes back is filed by the one who asked, nowhere else."""

    def run(self, cells: Mapping[Cell, Items | None]) -> Iterator[Evaluated | Failed]:
        """Run the cells in an order of the engine's; each comes back once, when it is done.

        Args:
            cells: with the items of it that are to be run, None for all.
        """
        ...


def attempt(runner: CellRunner, cell: Cell, items: Items | None = None) -> Evaluated | Failed:
    """Run a cell, the same way on every engine; whatever it raises is its failure."""
    try:
        return runner.run(cell, items)
    except Exception as error:
        return Failed(cell, f"{type(error).__name__}: {why(error)}", traceback.format_exc())
