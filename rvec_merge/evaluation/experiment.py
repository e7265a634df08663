"""Run a plan: choose the scale, evaluate what is reported, resume where a run stopped."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rvec_merge.errors import PlanError, ResultsError
from rvec_merge.evaluation.conditions import Cell, State, report_cells, sweep_cells
from rvec_merge.evaluation.engines.base import Engine, Failed
from rvec_merge.evaluation.outputs import outcomes
from rvec_merge.evaluation.plan import Plan, TaskPlan, read_plan
from rvec_merge.evaluation.runner import CellRunner, Evaluated, versions
from rvec_merge.evaluation.significance import Outcomes
from rvec_merge.evaluation.store import CellResult, Store
from rvec_merge.evaluation.task_book import TaskBook
from rvec_merge.recipe import Recipe
from rvec_merge.safe_yaml import load_yaml

_FEWEST = 10  # items on either side of a split
_SHOWN = 8  # failures in an error


class Watch(Protocol):
    """Is told of every cell that is finished, found finished, or failed."""

    def done(self, cell: Cell, result: CellResult) -> None: ...

    def failed(self, failure: Failed) -> None: ...


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
        self, engine: Engine, runner: CellRunner, store: Store, watch: Watch
    ) -> tuple[float, dict[Cell, CellResult]]:
        """Run what is not finished yet; returns the chosen scale and every cell's result.

        Raises:
            ResultsError: cells failed; all others that could be run are finished and filed.
        """
        clerk = _Clerk(engine, runner, store, watch)
        sweep = sweep_cells(self.plan)
        # What does not depend on the scale need not wait for it.
        fixed = [c for c in self.outline(max(self.plan.scales)).report if not c.state.scale]
        clerk.finish([*sweep, *fixed])
        if not clerk.failures.keys() & set(sweep):
            scale = self.choose(clerk.results)
            clerk.finish(self.outline(scale).report)
            if not clerk.failures:
                return scale, clerk.results
        raise clerk.report()

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

    def running_code(self) -> list[str]:
        """The plan's tasks that execute what a model wrote."""
        return [
            plan.task
            for plan in self.plan.tasks
            if any(getattr(t, "UNSAFE_CODE", False) for t in self.book.tasks(plan.task).values())
        ]

    def require_same(self, found: Mapping[str, Any] | None, folder: Path) -> None:
        """Refuse a results folder that another plan's cells are in; None is an empty folder.

        A changed plan goes on in its folder and reuses what still applies. It is another plan if
        its recipe says something else (the scale aside, which the plan sets), or if none of its
        tasks is one of the folder's.

        Raises:
            ResultsError: the folder was written by another plan.
        """
        if found is None:
            return
        facts = _differing(load_yaml(found["recipe"], source="recipe"), self.recipe)
        there = [task["task"] for task in found["plan"]["tasks"]]
        here = [task.task for task in self.plan.tasks]
        if not set(there) & set(here):
            facts.append(f"tasks: {', '.join(there)} there, {', '.join(here)} here")
        if facts:
            raise ResultsError(
                "The results folder was written by another plan.",
                [f"{folder}: {found['plan']['recipe']} there, {self.plan.recipe} here", *facts],
                "name a new folder.",
            )

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


class _Clerk:
    """Asks an engine for the cells that are missing, and files what comes back."""

    def __init__(self, engine: Engine, runner: CellRunner, store: Store, watch: Watch) -> None:
        self._engine = engine
        self._runner = runner
        self._store = store
        self._watch = watch
        self.results: dict[Cell, CellResult] = {}
        self.failures: dict[Cell, tuple[Failed, Path]] = {}

    def finish(self, cells: Iterable[Cell]) -> None:
        missing = []
        for cell in dict.fromkeys(cells):
            if cell in self.results or cell in self.failures:
                continue
            if (found := self._store.find(self._runner.key(cell))) is not None:
                self._file(cell, found)
            else:
                missing.append(cell)
        if not missing:
            return
        self._store.forget_findings()
        for answer in self._engine.run(missing):
            if isinstance(answer, Evaluated):
                answer = self._checked(answer)
            if isinstance(answer, Failed):
                trace = self._store.add_failure(self._runner.key(answer.cell), answer.trace)
                self.failures[answer.cell] = (answer, trace)
                self._watch.failed(answer)
                continue
            cell = answer.cell
            key = self._runner.key(cell)
            filed = self._store.add(key, cell.condition, cell.variant, answer.facts, answer.files)
            self._file(cell, filed)

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


def _differing(found: Any, recipe: Recipe) -> list[str]:
    """The top-level keys of two recipes that disagree, the scale aside."""
    there, here = (_without_scale(r) for r in (found, load_yaml(recipe.text, source="recipe")))
    return [
        f"recipe.{key}: {there.get(key)} there, {here.get(key)} here"
        for key in {**there, **here}
        if there.get(key) != here.get(key)
    ]


def _without_scale(recipe: dict[str, Any]) -> dict[str, Any]:
    parameters = dict(recipe.get("parameters") or {})
    if isinstance(parameters.get("scale"), int | float):
        del parameters["scale"]
    return {**recipe, "parameters": parameters}


def prepare(path: Path) -> Experiment:
    """Read a plan and its recipe, and build the tasks."""
    from rvec_merge.hub.recipes import open_recipe

    plan, recipe = read_plan(path)
    return Experiment(plan, open_recipe(recipe), TaskBook())
