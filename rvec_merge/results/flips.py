"""Which items a condition changed, so that a report can show them without scoring anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.plan import TaskName
from rvec_merge.experiment.store import CellResult
from rvec_merge.stats.significance import Outcomes

if TYPE_CHECKING:
    from rvec_merge.experiment.planned import Experiment


Key = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Items = Annotated[Mapping[TaskName, tuple[int, ...]], Field(min_length=1)]


@dataclass(frozen=True)
class Flips:
    """The items on which one condition differs from its baseline.

    Attributes:
        key: the cell's folder.
        metric, filter: what was compared.
        rose, fell: by subtask, the doc_ids of the items; none for a baseline.
        items: of a baseline, all that were compared; None in results of a version that did not say.
    """

    key: Key
    condition: str
    variant: TaskName
    metric: str
    filter: str
    rose: Items
    fell: Items
    items: Items | None = None


def flips(
    experiment: "Experiment", cell: Cell, before: Outcomes, after: Outcomes, result: CellResult
) -> Flips:
    """Compare two conditions that were measured on the same items."""
    change = dict(zip(after.items.tolist(), after.values - before.values, strict=True))
    rose: dict[str, tuple[int, ...]] = {}
    fell: dict[str, tuple[int, ...]] = {}
    every: dict[str, tuple[int, ...]] = {}
    for subtask, items in experiment.book.items(cell.variant, experiment.plan.limit).items():
        # Items that chose the scale are not reported, and have no change.
        known = [(doc_id, change[name]) for doc_id, name in items if name in change]
        rose[subtask] = tuple(i for i, moved in known if moved > 0)
        fell[subtask] = tuple(i for i, moved in known if moved < 0)
        every[subtask] = tuple(i for i, _ in known)
    task = next(t for t in experiment.plan.tasks if t.task == cell.task)
    metric, filter_name = experiment.book.metric(task, cell.variant)
    found = (result.key, cell.condition, cell.variant, metric, filter_name, rose, fell)
    return Flips(*found, every if cell == cell.baseline else None)
