"""The experiment's progress bar: cells, time left, the current condition, running accuracy."""

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rvec_merge.cli.console import PlainConsole
from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.engines.base import Failed
from rvec_merge.experiment.store import CellResult
from rvec_merge.shown import shown


class CellProgress:
    """One bar over all cells; ``begin`` and ``done`` are called around each."""

    def __init__(self, total: int, console: PlainConsole, *, disable: bool) -> None:
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=disable,
        )
        self._task = self._bar.add_task("loading the model", total=total)
        self._last = ""

    def begin(self, cell: Cell) -> None:
        """Show the condition that is being evaluated."""
        self._bar.update(
            self._task, description=shown(f"{cell.condition}, {cell.task}{self._last}")
        )

    def done(self, cell: Cell, result: CellResult) -> None:
        """Count a finished cell and show its first metric."""
        metrics = next(iter(result.facts["means"].values()))
        name, value = next(iter(metrics.items()))
        self._last = f"  (last: {name} {value:.3f})"
        self._bar.update(self._task, advance=1)

    def failed(self, failure: Failed) -> None:
        """Count a failed cell and say why, above the bar."""
        cell = failure.cell
        self._bar.console.print(f"Failed: {cell.condition} on {cell.task}: {failure.reason}")
        self._bar.update(self._task, advance=1)

    def __enter__(self) -> "CellProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
