"""One process, one resident model."""

from collections.abc import Callable, Iterator, Mapping

from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.engines.base import Failed, attempt
from rvec_merge.experiment.runner import CellRunner, Evaluated, Items


class LocalEngine:
    """Runs cells one after another in this process, weights changing as rarely as possible."""

    def __init__(self, runner: CellRunner, begin: Callable[[Cell], None]) -> None:
        self._runner = runner
        self._begin = begin

    def run(self, cells: Mapping[Cell, Items | None]) -> Iterator[Evaluated | Failed]:
        self._runner.load()  # a target that cannot be loaded is one error, not one per cell
        order = {state: i for i, state in enumerate(dict.fromkeys(c.state for c in cells))}
        for cell in sorted(cells, key=lambda c: order[c.state]):
            self._begin(cell)
            yield attempt(self._runner, cell, cells[cell])
