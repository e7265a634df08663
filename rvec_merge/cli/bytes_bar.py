"""One progress bar in bytes, with rate and time left; off where there is no terminal."""

from types import TracebackType

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from rvec_merge.cli.console import PlainConsole
from rvec_merge.merge.run import Watcher


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
