"""One process, one resident model."""

import logging
from collections.abc import Callable, Iterator, Mapping

from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.engines.base import Failed, attempt
from rvec_merge.experiment.runner import CellRunner, Evaluated, Items

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
        for group in groups.values():
            self._begin(group[0])
            self._prepare({cell: cells[cell] for cell in group})
            for cell in group:
                if cell is not group[0]:
                    self._begin(cell)
                yield attempt(self._runner, cell, cells[cell])

    def _prepare(self, cells: Mapping[Cell, Items | None]) -> None:
        try:
            self._runner.prepare(cells)
        except Exception as error:  # each cell meets it again, and says so
            LOG.debug("not prepared: %s", error)
