"""A finished experiment, read from its folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from rvec_merge.errors import ResultsError
from rvec_merge.evaluation.flips import Flips
from rvec_merge.evaluation.plan import Plan
from rvec_merge.evaluation.report_files import read_summary
from rvec_merge.evaluation.store import HEAD, CellResult, Store
from rvec_merge.evaluation.summary import Row, Summary


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
            ResultsError: it is gone.
        """
        found = self.store.find(flips.key)
        if found is None:
            raise ResultsError(
                "A cell of the results is gone.",
                [f"{self.store.cells / flips.key}", f"{flips.condition}, {flips.variant}"],
                "run `rvec experiment` into this folder again; other cells are kept.",
            )
        return found


def read_results(folder: Path) -> Results:
    """Read a results folder.

    Raises:
        ResultsError: it is none, the experiment is not finished, or a file is damaged.
    """
    store = Store(folder)
    head = store.head()
    try:
        plan = Plan.model_validate(head["plan"])
        recipe, versions = str(head["recipe"]), dict(head["versions"])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise ResultsError(
            "The results are damaged.",
            [f"{folder / HEAD}: {str(error).splitlines()[0]}"],
            "run `rvec experiment` into this folder again; finished cells are kept.",
        ) from None
    return Results(folder.resolve().name, plan, recipe, versions, read_summary(store), store)
