"""Progress bars for notebooks and scripts, by tqdm."""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rvec_merge.experiment.conditions import Cell
    from rvec_merge.experiment.engines.base import Failed
    from rvec_merge.experiment.planned import Outline
    from rvec_merge.experiment.store import CellResult


class CellWatch(Protocol):
    """Is told how an experiment goes on."""

    def start(self, outline: "Outline") -> None: ...

    def begin(self, cell: "Cell", /) -> None: ...

    def done(self, cell: "Cell", result: "CellResult") -> None: ...

    def failed(self, failure: "Failed") -> None: ...


class Bar:
    """A tqdm bar over bytes or cells; none where it is not wanted.

    It is a merge's ``Watcher`` and an experiment's ``CellWatch``.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._bar: Any = None

    def _open(self, total: int, **options: Any) -> None:
        if self._wanted:
            from tqdm.auto import tqdm  # type: ignore[import-untyped]

            self._bar = tqdm(total=total, **options)

    def begin(self, started: "int | Cell", /) -> None:
        """So many bytes will be read and written; or, of an experiment, this cell is next."""
        if isinstance(started, int):
            self._open(started, unit="B", unit_scale=True)
        elif self._bar is not None:
            self._bar.set_description(f"{started.condition}, {started.task}")

    def advance(self, nbytes: int) -> None:
        """So many more bytes have been."""
        if self._bar is not None:
            self._bar.update(nbytes)

    def start(self, outline: "Outline") -> None:
        """These cells will be evaluated, or found."""
        self._open(len(outline.cells), unit="cell")

    def done(self, cell: "Cell", result: "CellResult") -> None:
        """A cell is finished."""
        self.advance(1)

    def failed(self, failure: "Failed") -> None:
        """A cell failed; the error at the end says why."""
        self.advance(1)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
