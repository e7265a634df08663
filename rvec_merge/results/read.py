"""A finished experiment, read from its folder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from rvec_merge.experiment.conditions import TARGET, Cell, State
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.store import CellResult, Store
from rvec_merge.files.explained import explained
from rvec_merge.files.marks import EXPERIMENT_FILE
from rvec_merge.files.reading import damaged
from rvec_merge.results.flips import Flips
from rvec_merge.results.report_files import FLIPS, SUMMARY, read_summary
from rvec_merge.results.summary import Row, Summary


@dataclass(frozen=True)
class Results:
    """What a results folder holds.

    Attributes:
        name: the folder's.
        recipe: the recipe's text.
        versions: of the packages that ran it.
    """

    name: str
    plan: Plan
    recipe: str
    versions: Mapping[str, str]
    summary: Summary
    store: Store

    def rows(self, task: str) -> list[Row]:
        """A task's reported conditions, the plain target first."""
        return [row for row in self.summary.rows if row.cell.task == task]

    def binary(self, task: str) -> bool:
        """Whether the task's outcomes are right or wrong, so that a mean is a share of items."""
        return self.summary.binary(task)

    def records(self) -> list[tuple[Row, Flips]]:
        """Every row with the items that it changed."""
        return list(zip(self.summary.rows, self.summary.flips, strict=True))

    def cell(self, flips: Flips) -> CellResult:
        """The stored cell of a row.

        Raises:
            ResultsError: it is gone or damaged.
        """
        return self.store.cell(flips.key)


def read_results(folder: Path) -> Results:
    """Read a results folder.

    Raises:
        ResultsError: it is none, the experiment is not finished, or a file is damaged.
    """
    store = Store(folder)
    head = store.head()
    try:
        plan = Plan.model_validate(head["plan"])
    except ValidationError as error:
        raise damaged(folder / EXPERIMENT_FILE, "; ".join(explained(error))) from None
    found = Results(
        folder.resolve().name, plan, head["recipe"], head["versions"], read_summary(store), store
    )
    for said in _inconsistent(found):
        raise damaged(
            folder, f"{EXPERIMENT_FILE}, {SUMMARY} and {FLIPS} do not belong together: {said}"
        )
    return found


def _inconsistent(results: Results) -> Iterator[str]:
    """What a report would stumble over: each file is sound alone, but they were mixed or edited."""
    cells = {row.cell for row in results.summary.rows}
    tasks = {named.task for named in results.plan.tasks}
    for task in tasks:
        for state in (TARGET, State("vector", results.summary.scale)):
            if Cell(task, state) not in cells:
                yield f"no row of {state.label} on {task}"
    for row, flips in results.records():
        cell, where = row.cell, f"{row.cell.condition} on {row.cell.task}"
        if cell.task not in tasks or cell.baseline not in cells:
            yield f"{where} has no task or no baseline"
        if (flips.condition, flips.variant) != (cell.condition, cell.variant):
            yield f"{where} is {flips.condition} on {flips.variant} in the other"
        compared = cell != cell.baseline
        if compared is (row.comparison is None) or compared is (row.p_adjusted is None):
            yield f"{where} is not compared with its baseline"
