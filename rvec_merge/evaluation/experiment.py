"""Run a plan: choose the scale, evaluate what is reported, resume where a run stopped."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from rvec_merge.errors import PlanError
from rvec_merge.evaluation.conditions import Cell, State, report_cells, sweep_cells
from rvec_merge.evaluation.outputs import outcomes
from rvec_merge.evaluation.plan import Plan, TaskPlan, read_plan
from rvec_merge.evaluation.runner import CellRunner, versions
from rvec_merge.evaluation.significance import Outcomes
from rvec_merge.evaluation.store import CellResult, Store
from rvec_merge.evaluation.task_book import TaskBook
from rvec_merge.recipe import Recipe, read_recipe

_FEWEST = 10  # items on either side of a split


class Engine(Protocol):
    """Runs cells somewhere; calls ``done`` in the process that asked, as each is filed."""

    def run(self, cells: Sequence[Cell], done: Callable[[Cell, CellResult], None]) -> None: ...


class LocalEngine:
    """Runs cells one after another in this process."""

    def __init__(self, runner: CellRunner, store: Store, begin: Callable[[Cell], None]) -> None:
        self._runner = runner
        self._store = store
        self._begin = begin

    def run(self, cells: Sequence[Cell], done: Callable[[Cell, CellResult], None]) -> None:
        for cell in cells:
            self._begin(cell)
            done(cell, self._runner.run(cell, self._store))


@dataclass(frozen=True)
class Outline:
    """What an experiment will run, known before it starts.

    Attributes:
        sweep: the cells that choose the scale.
        report: the cells that are reported, for the scale chosen; counts do not depend on it.
        generations: outputs that will be generated or scored, all cells together.
    """

    sweep: tuple[Cell, ...]
    report: tuple[Cell, ...]
    generations: int

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(dict.fromkeys(self.sweep + self.report))


class Experiment:
    """A plan with its recipe and tasks, checked as far as can be without running anything.

    Raises:
        PlanError: a task, prompt, perturbation, metric or filter does not exist, or a task has
            too few items to split.
    """

    def __init__(self, plan: Plan, recipe: Recipe, book: TaskBook) -> None:
        self.plan = plan
        self.recipe = recipe
        self.book = book
        # Any scale will do: which tasks and items there are does not depend on it.
        self._check(self.outline(max(plan.scales)))

    def outline(self, scale: float) -> Outline:
        """The cells for a chosen scale."""
        sweep = tuple(sweep_cells(self.plan))
        report = tuple(c for c in report_cells(self.plan, scale) if self._possible(c))
        both = dict.fromkeys(sweep + report)
        sizes = {c.variant: self._size(c.variant) for c in both if self._exists(c)}
        return Outline(sweep, report, sum(sizes.get(c.variant, 0) for c in both))

    def run(
        self,
        engine: Engine,
        runner: CellRunner,
        store: Store,
        done: Callable[[Cell, CellResult], None],
    ) -> tuple[float, dict[Cell, CellResult]]:
        """Run what is not finished yet; returns the chosen scale and every cell's result."""
        results: dict[Cell, CellResult] = {}

        def file(cell: Cell, result: CellResult) -> None:
            results[cell] = result
            done(cell, result)

        def finish(cells: Iterable[Cell]) -> None:
            missing = []
            for cell in dict.fromkeys(cells):
                if cell in results:
                    continue
                if (found := store.find(runner.key(cell))) is not None:
                    file(cell, found)
                else:
                    missing.append(cell)
            # Weights change as rarely as possible; within a state, in the plan's order.
            order = {state: i for i, state in enumerate(dict.fromkeys(c.state for c in missing))}
            engine.run(sorted(missing, key=lambda c: order[c.state]), file)

        finish(sweep_cells(self.plan))
        scale = self.choose(results)
        finish(self.outline(scale).report)
        return scale, results

    def choose(self, results: dict[Cell, CellResult]) -> float:
        """The scale with the highest mean over the choosing tasks; the smallest of equals."""
        if len(self.plan.scales) == 1:
            return self.plan.scales[0]
        scores = {
            scale: np.mean(
                [self.outcomes(c, results[c], part="choose").values.mean() for c in cells]
            )
            for scale, cells in self._by_scale().items()
        }
        best = max(scores.values())
        return min(scale for scale, score in scores.items() if score == best)

    def outcomes(self, cell: Cell, result: CellResult, part: str) -> Outcomes:
        """A cell's outcomes on the items of one part: ``choose`` or ``report``."""
        task = self._task(cell.task)
        metric, filter_name = self.book.metric(task, cell.variant)
        names = {
            subtask: {i: name for i, name in items if self._takes(cell, name, part)}
            for subtask, items in self.book.items(cell.variant, self.plan.limit).items()
        }
        return outcomes(result.samples(), metric, filter_name, names)

    def head(self) -> dict[str, object]:
        """What a results folder says about its experiment."""
        return {
            "plan": self.plan.model_dump(mode="json"),
            "recipe": self.recipe.text,
            "versions": versions(),
        }

    def _by_scale(self) -> dict[float, list[Cell]]:
        found: dict[float, list[Cell]] = {scale: [] for scale in self.plan.scales}
        for cell in sweep_cells(self.plan):
            if cell.state.kind == "vector":
                found[cell.state.scale].append(cell)
        return found

    def _takes(self, cell: Cell, name: str, part: str) -> bool:
        plan = self.plan
        if plan.selection.by != "share" or len(plan.scales) == 1:
            return True
        if not self._task(cell.task).selects:
            return part == "report"
        drawn = hashlib.sha256(f"{plan.seed}/{name}".encode()).digest()
        chooses = int.from_bytes(drawn[:8], "big") < plan.selection.share * 2**64
        return chooses == (part == "choose")

    def _task(self, name: str) -> TaskPlan:
        return next(t for t in self.plan.tasks if name in (t.task, t.validation))

    def _possible(self, cell: Cell) -> bool:
        return not cell.forced or self.book.withholding(cell.variant) is not None

    def _exists(self, cell: Cell) -> bool:
        return self.book.knows(cell.variant)

    def _size(self, variant: str) -> int:
        return sum(len(items) for items in self.book.items(variant, self.plan.limit).values())

    def _check(self, outline: Outline) -> None:
        self.book.require(outline.cells)
        for cell in outline.cells:
            self.book.metric(self._task(cell.task), cell.variant)
        if self.plan.selection.by != "share" or len(self.plan.scales) == 1:
            return
        for task in (t for t in self.plan.tasks if t.selects):
            cell = Cell(task.task, State("target"))
            items = self.book.items(cell.variant, self.plan.limit)
            named = [name for found in items.values() for _, name in found]
            choosing = sum(self._takes(cell, name, "choose") for name in named)
            if min(choosing, len(named) - choosing) < _FEWEST:
                raise PlanError(
                    f"The task {task.task} has too few items to split.",
                    [f"{choosing} would choose the scale, {len(named) - choosing} would report it"],
                    f"raise limit, or change selection.share; each side needs {_FEWEST}.",
                )


def prepare(path: Path) -> Experiment:
    """Read a plan and its recipe, and build the tasks."""
    plan, recipe_path = read_plan(path)
    return Experiment(plan, read_recipe(recipe_path), TaskBook())
