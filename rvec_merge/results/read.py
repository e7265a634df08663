"""A finished experiment, read from its folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from rvec_merge.errors import ResultsError
from rvec_merge.experiment.conditions import TARGET, Cell, State
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.store import CellResult, Store
from rvec_merge.files.explained import explained
from rvec_merge.files.marks import EXPERIMENT_FILE
from rvec_merge.files.reading import damaged, read_as
from rvec_merge.results.flips import Flips
from rvec_merge.results.summary import Row, Summary
from rvec_merge.results.tables import FLIPS, SUMMARY
from rvec_merge.tasks.samples import Run, TaskSamples, read_run


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


def read_summary(store: Store) -> Summary:
    """What ``tables.write_summary`` wrote.

    Raises:
        ResultsError: the experiment is not finished, or its files are damaged.
    """
    path = store.root / SUMMARY
    if not path.is_file():
        raise ResultsError(
            "The experiment is not finished.",
            [f"no {path}"],
            "run `rvec experiment` into this folder again; finished cells are kept.",
        )
    summary = read_as(path, Summary)
    try:
        json.dumps(summary.as_dict(), allow_nan=False)
    except ValueError:
        raise damaged(path, "a number in it is not finite") from None
    flips = read_as(store.root / FLIPS, tuple[Flips, ...])
    if len(flips) != len(summary.rows):
        raise ResultsError(
            "Two files of the results do not belong together.",
            [f"{SUMMARY}: {len(summary.rows)} conditions", f"{FLIPS}: {len(flips)}"],
            "run `rvec experiment` into this folder again; finished cells are kept.",
        )
    return replace(summary, flips=flips)


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


def runs_of(folder: Path, conditions: Sequence[str]) -> list[Run]:
    """What each of the conditions gave, on all tasks that it was reported on.

    Raises:
        ResultsError: the folder holds no finished experiment, or no such condition.
    """
    results = read_results(folder)
    return [_run(results, condition) for condition in conditions]


def _run(results: Results, condition: str) -> Run:
    known = dict.fromkeys(row.cell.condition for row, _ in results.records())
    # A hyphen is what a keyboard has for the minus sign that tables print.
    named = {name.replace("−", "-"): name for name in known}.get(condition.replace("−", "-"))
    if named is None:
        near = get_close_matches(condition, known, n=1)
        raise ResultsError(
            f"The results have no condition {condition!r}.",
            [f"did you mean {near[0]!r}?"] if near else [f"there are: {'; '.join(known)}"],
            "name two of summary.md's conditions.",
        )
    tasks: dict[str, TaskSamples] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for row, flips in results.records():
        if row.cell.condition == named:
            run = read_run(results.cell(flips).folder)
            tasks.update(run.tasks)
            groups.update(run.groups)
    return Run(f"{named}, of {results.name}", tasks, groups)
