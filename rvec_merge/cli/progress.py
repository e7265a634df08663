"""Progress, on stderr: of a merge in bytes, of an experiment in cells.

An experiment has a bar on a terminal, else a line for each finished cell.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from rvec_merge.cli.console import PlainConsole
from rvec_merge.cli.echo import echo
from rvec_merge.merge.run import Watcher
from rvec_merge.shown import shown

if TYPE_CHECKING:
    from rvec_merge.api.progress import CellWatch
    from rvec_merge.experiment.conditions import Cell
    from rvec_merge.experiment.engines.base import Failed
    from rvec_merge.experiment.planned import Outline
    from rvec_merge.experiment.store import CellResult

_NARROW = 70  # columns; below, the bar itself gives its place to the names


class BytesBar(Watcher):
    """Shows a merge's progress on stderr."""

    def __init__(self) -> None:
        self._bar = Progress(
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=PlainConsole(stderr=True),
            transient=True,
        )

    def begin(self, nbytes: int) -> None:
        self._task = self._bar.add_task("", total=nbytes)
        self._bar.start()

    def advance(self, nbytes: int) -> None:
        self._bar.advance(self._task, nbytes)

    def __enter__(self) -> "BytesBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


class Watching:
    """Counts cells, and estimates the time left from those that were run here.

    A cell that was found finished costs nothing and tells nothing of the others.
    """

    def __init__(self) -> None:
        self.total = self.finished = 0
        self._ran: list[float] = []  # seconds of each cell that was
        self._begun: set[Cell] = set()
        self._since = 0.0

    def start(self, outline: "Outline") -> None:
        """These cells will be evaluated, or found."""
        self.total = len(outline.cells)

    def begin(self, cell: "Cell") -> None:
        """A cell is handed out."""
        self._since = self._since or time.monotonic()
        self._begun.add(cell)

    def done(self, cell: "Cell", result: "CellResult") -> None:
        """A cell is finished, or was found finished."""
        self._count(cell, result.facts.get("seconds"))

    def failed(self, failure: "Failed") -> None:
        """A cell failed."""
        self._count(failure.cell)

    def _count(self, cell: "Cell", seconds: float | None = None) -> None:
        self.finished += 1
        if cell in self._begun:
            self._ran.append(seconds or time.monotonic() - self._since - sum(self._ran))

    @property
    def left(self) -> str:
        """The time left, in words; empty where nothing was run yet."""
        if not self._ran or self.finished >= self.total:
            return ""
        # Several cells may be at work at once, or one call may have served several.
        together = max(1.0, sum(self._ran) / max(time.monotonic() - self._since, 1e-9))
        seconds = sum(self._ran) / len(self._ran) / together * (self.total - self.finished)
        for unit, size in (("h", 3600), ("min", 60)):
            if seconds >= 2 * size:
                return f"{seconds / size:.0f} {unit} left"
        return f"{seconds:.0f} s left"


class CellLines(Watching):
    """A line on stderr for each finished cell: for logs, nohup and SLURM."""

    def done(self, cell: "Cell", result: "CellResult") -> None:
        super().done(cell, result)
        name, value = _score(result)
        told = [f"{name} {value:.3f}"]
        if cell not in self._begun:
            told.append("found finished")
        elif (tokens := result.facts["tokens"]) is not None:
            told += [f"{tokens:.0f} tokens an output", *_rate(result)]
        self._say(cell, told)

    def failed(self, failure: "Failed") -> None:
        super().failed(failure)
        self._say(failure.cell, [f"failed: {failure.reason}"])

    def _say(self, cell: "Cell", told: list[str]) -> None:
        width = len(str(self.total))
        left = [self.left] if self.left else []
        said = ", ".join([f"{cell.condition}, {cell.task}: {told[0]}", *told[1:], *left])
        echo(f"[{self.finished:{width}}/{self.total}] {said}", err=True)


class CellBar(Watching):
    """One bar over all cells; names come first, and are cut before numbers are."""

    def __init__(self, console: PlainConsole) -> None:
        super().__init__()
        names = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        bar = [BarColumn(bar_width=16)] if console.width >= _NARROW else []
        self.bar = Progress(
            TextColumn("{task.description}", markup=False, table_column=names),
            *bar,
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            expand=True,
        )
        self._last = ""

    def start(self, outline: "Outline") -> None:
        super().start(outline)
        self._task = self.bar.add_task("loading the model", total=self.total, left="")
        self.bar.start()

    def begin(self, cell: "Cell") -> None:
        super().begin(cell)
        said = shown(f"{cell.condition}, {cell.task}{self._last}")
        self.bar.update(self._task, description=said)

    def done(self, cell: "Cell", result: "CellResult") -> None:
        super().done(cell, result)
        name, value = _score(result)
        self._last = f"  (last: {', '.join([f'{name} {value:.3f}', *_rate(result)])})"
        self.bar.update(self._task, completed=self.finished, left=self.left)

    def failed(self, failure: "Failed") -> None:
        super().failed(failure)
        cell = failure.cell
        self.bar.console.print(f"Failed: {cell.condition} on {cell.task}: {failure.reason}")
        self.bar.update(self._task, completed=self.finished, left=self.left)


@contextmanager
def watch(console: PlainConsole, *, quiet: bool) -> "Iterator[CellWatch]":
    """What an experiment tells of itself: a bar, lines, or nothing."""
    if quiet:
        yield Watching()
    elif console.is_terminal and sys.stderr.isatty():
        watching = CellBar(console)
        try:
            yield watching
        finally:
            watching.bar.stop()
    else:
        yield CellLines()


def _rate(result: "CellResult") -> list[str]:
    """How fast a cell was written, if it was."""
    tokens, seconds = result.facts["tokens"], result.facts.get("seconds")
    return (
        [f"{tokens * result.facts['outputs'] / seconds:.0f} tokens/s"] if tokens and seconds else []
    )


def _score(result: "CellResult") -> tuple[str, float]:
    """A cell's metric ``answer``, or its first."""
    means = next(iter(result.facts["means"].values()))
    name = "answer" if "answer" in means else next(iter(means))
    return name, float(means[name])
