"""Between an experiment, its engine and its store: what is missing is run, and then filed."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from rvec_merge.errors import ResultsError
from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.engines.base import Engine, Failed
from rvec_merge.experiment.extending import cut_items, joined, smaller_budgets
from rvec_merge.experiment.runner import CellRunner, Evaluated, Items
from rvec_merge.experiment.store import CellResult, Store

_SHOWN = 8  # failures in an error


class Watch(Protocol):
    """Is told of every cell that is finished, found finished, or failed."""

    def done(self, cell: Cell, result: CellResult) -> None: ...

    def failed(self, failure: Failed) -> None: ...


class Filing:
    """Asks an engine for the cells that are missing, and files what comes back.

    Args:
        extends: whether outputs that were whole at a smaller token budget are kept.
    """

    def __init__(
        self,
        engine: Engine,
        runner: CellRunner,
        store: Store,
        watch: Watch,
        *,
        extends: bool = False,
    ) -> None:
        self._engine = engine
        self._extends = extends
        self._earlier: dict[Cell, CellResult] = {}
        self._runner = runner
        self._store = store
        self._watch = watch
        self.results: dict[Cell, CellResult] = {}
        self.failures: dict[Cell, tuple[Failed, Path]] = {}

    def finish(self, cells: Iterable[Cell]) -> None:
        missing: dict[Cell, Items | None] = {}
        for cell in dict.fromkeys(cells):
            if cell in self.results or cell in self.failures:
                continue
            if (found := self._store.find(self._runner.key(cell))) is not None:
                self._file(cell, found)
            else:
                missing[cell] = None
        if not missing:
            return
        self._store.forget_findings()
        if self._extends:
            missing = {cell: items for cell in missing if (items := self._to_extend(cell)) != {}}
        for answer in self._engine.run(missing):
            if isinstance(answer, Evaluated):
                answer = self._checked(answer)
            if isinstance(answer, Failed):
                trace = self._store.add_failure(self._runner.key(answer.cell), answer.trace)
                self.failures[answer.cell] = (answer, trace)
                self._watch.failed(answer)
                continue
            facts, files = answer.facts, answer.files
            if (earlier := self._earlier.get(answer.cell)) is not None:
                facts, files = joined(earlier, answer)
            ran = {"seconds": round(answer.seconds, 1), "backend": answer.depends["backend"]}
            self._add(answer.cell, {**facts, **ran}, files)

    def _to_extend(self, cell: Cell) -> Items | None:
        """The items to run again; all where nothing is known, none where nothing was cut off."""
        for plan in smaller_budgets(self._runner.plan):
            found = self._store.find(self._runner.key(cell, plan))
            if found is None:
                continue
            if cut := cut_items(found):
                self._earlier[cell] = found
            else:
                self._add(cell, *joined(found, None))
            return cut
        return None

    def _add(self, cell: Cell, facts: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        key = self._runner.key(cell)
        self._file(cell, self._store.add(key, cell.condition, cell.variant, facts, files))

    def report(self) -> ResultsError:
        """What failed."""
        facts = [
            f"{cell.condition} on {cell.task}: {failure.reason} ({trace})"
            for cell, (failure, trace) in self.failures.items()
        ]
        more = [f"and {len(facts) - _SHOWN} more"] if len(facts) > _SHOWN else []
        return ResultsError(
            f"{len(facts)} of {len(facts) + len(self.results)} cells failed; no summary is made.",
            facts[:_SHOWN] + more,
            "read the traceback files, mend the cause, and run the same command again: "
            "what is finished is kept.",
        )

    def _file(self, cell: Cell, result: CellResult) -> None:
        self.results[cell] = result
        self._watch.done(cell, result)

    def _checked(self, answer: Evaluated) -> Evaluated | Failed:
        """The answer, if the cell ran on what this process sees: other nodes have other disks."""
        here = self._runner.depends(answer.cell)
        other = [name for name in here if here[name] != answer.depends[name]]
        if not other:
            return answer
        reason = f"its worker saw other {', '.join(other)}"
        lines = [f"{name}: {here[name]} here, {answer.depends[name]} there" for name in other]
        return Failed(answer.cell, reason, "\n".join([reason, *lines, ""]))
