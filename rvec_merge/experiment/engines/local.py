"""One process, one resident model."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.engines.base import Failed, attempt
from rvec_merge.experiment.runner import CellRunner, Evaluated, Items

# Asked for in one call. More would not be quicker, and an interrupt loses what one call was asked.
OUTPUTS = 4096
LOG = logging.getLogger(__name__)


class LocalEngine:
    """Runs cells one after another in this process, weights changing as rarely as possible."""

    def __init__(self, runner: CellRunner, begin: Callable[[Cell], None]) -> None:
        self._runner = runner
        self._begin = begin

    def run(self, cells: Mapping[Cell, Items | None]) -> Iterator[Evaluated | Failed]:
        self._runner.load()  # a target that cannot be loaded is one error, not one per cell
        groups: dict[State, list[Cell]] = {}
        for cell in cells:
            groups.setdefault(cell.state, []).append(cell)
        for state in groups.values():
            for group in self._calls(state, cells):
                self._begin(group[0])
                self._prepare({cell: cells[cell] for cell in group})
                for cell in group:
                    if cell is not group[0]:
                        self._begin(cell)
                    yield attempt(self._runner, cell, cells[cell])

    def _calls(
        self, state: Sequence[Cell], cells: Mapping[Cell, Items | None]
    ) -> Iterator[list[Cell]]:
        """Cells of one state, as many together as it takes to ask for ``OUTPUTS``."""
        group, outputs = list[Cell](), 0
        for cell in state:
            group.append(cell)
            outputs += self._outputs(cell, cells[cell])
            if outputs >= OUTPUTS or cell is state[-1]:
                yield group
                group, outputs = [], 0

    def _outputs(self, cell: Cell, items: Items | None) -> int:
        try:
            return self._runner.outputs(cell, items)
        except Exception as error:  # the cell meets it again, and says so
            LOG.debug("not counted: %s", error)
            return 0

    def _prepare(self, cells: Mapping[Cell, Items | None]) -> None:
        try:
            self._runner.prepare(cells)
        except Exception as error:  # each cell meets it again, and says so
            LOG.debug("not prepared: %s", error)
