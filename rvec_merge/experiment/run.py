"""Run a plan: choose the scale, evaluate what is reported, resume where a run stopped."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rvec_merge.errors import Notice, PlanError, ResultsError
from rvec_merge.experiment.conditions import TARGET, Cell, State, report_cells, sweep_cells
from rvec_merge.experiment.engines.base import Engine
from rvec_merge.experiment.filing import Filing, Watch
from rvec_merge.experiment.plan import Plan, TaskPlan
from rvec_merge.experiment.plan_file import PlanSource, read_plan
from rvec_merge.experiment.runner import CellRunner, versions
from rvec_merge.experiment.sameness import differing
from rvec_merge.experiment.settings import Changes
from rvec_merge.experiment.states import DONORS, donor_of
from rvec_merge.experiment.store import CellResult, Store
from rvec_merge.experiment.tasks import TaskBook
from rvec_merge.hub.recipes import open_recipe
from rvec_merge.preflight import Model, prompts, see_local
from rvec_merge.preflight.models import see_models
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.yaml import load_yaml
from rvec_merge.stats.significance import Outcomes
from rvec_merge.tasks.known_sizes import known_sizes
from rvec_merge.tasks.outputs import describe, outcomes

_FEWEST = 10  # items on either side of a split
_SPREAD = 2  # items that a subtask needs to show how much they vary


@dataclass(frozen=True)
class Outline:
    """What an experiment will run, known before it starts.

    Attributes:
        sweep: the cells that choose the scale.
        report: the cells that are reported, for the scale chosen; counts do not depend on it.
        generations: outputs that will be generated or scored, all cells together.
        estimated: variants whose items are not here; they count with the known sizes of their
            clean sets, or not at all.
    """

    sweep: tuple[Cell, ...]
    report: tuple[Cell, ...]
    generations: int
    estimated: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(dict.fromkeys(self.sweep + self.report))


class Experiment:
    """A plan with its recipe and tasks, checked as far as can be without running anything.

    Raises:
        PlanError: a task, prompt, perturbation, metric or filter does not exist, a task has too
            few items to split, or the recipe has no donors of one pair to evaluate.
    """

    def __init__(self, plan: Plan, recipe: Recipe, book: TaskBook, *, dry: bool = False) -> None:
        self.plan = plan
        self.recipe = recipe
        self.book = book
        for role in DONORS if plan.donors else ():
            donor_of(recipe, role)
        # Any scale will do: which tasks and items there are does not depend on it.
        outline = self.outline(max(plan.scales)) if not dry else self.estimate()
        if not outline.estimated:
            self._check(outline)

    def outline(self, scale: float) -> Outline:
        """The cells for a chosen scale."""
        sweep = tuple(sweep_cells(self.plan))
        report = tuple(c for c in report_cells(self.plan, scale) if self._possible(c))
        both = dict.fromkeys(sweep + report)
        sizes = {c.variant: self._size(c.variant) for c in both if self._exists(c)}
        return Outline(sweep, report, sum(sizes.get(c.variant, 0) for c in both))

    def estimate(self) -> Outline:
        """The cells at any scale, where the items of some may be missing; see ``Outline``."""
        scale = max(self.plan.scales)
        sweep, report = sweep_cells(self.plan), report_cells(self.plan, scale)
        both = dict.fromkeys([*sweep, *report])
        self.book.require(both)
        missing = {v for v in {c.variant for c in both} if not self.book.is_here(v)}
        report = [c for c in report if c.variant in missing or self._possible(c)]
        both = dict.fromkeys([*sweep, *report])
        sizes = {
            v: self._known(v) if v in missing else self._size(v) for v in {c.variant for c in both}
        }
        total = sum(sizes[c.variant] for c in both)
        return Outline(tuple(sweep), tuple(report), total, tuple(sorted(missing)))

    def run(
        self, engine: Engine, runner: CellRunner, store: Store, watch: Watch
    ) -> tuple[float, dict[Cell, CellResult]]:
        """Run what is not finished yet; returns the chosen scale and every cell's result.

        Raises:
            ResultsError: cells failed; all others that could be run are finished and filed.
        """
        filing = Filing(engine, runner, store, watch)
        sweep = sweep_cells(self.plan)
        # What does not depend on the scale need not wait for it.
        fixed = [c for c in self.outline(max(self.plan.scales)).report if not c.state.scale]
        filing.finish([*sweep, *fixed])
        if not filing.failures.keys() & set(sweep):
            scale = self.choose(filing.results)
            filing.finish(self.outline(scale).report)
            if not filing.failures:
                return scale, filing.results
        raise filing.report()

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
        return min(scale for scale, score in scores.items() if np.isclose(score, best, atol=1e-12))

    def outcomes(self, cell: Cell, result: CellResult, part: str) -> Outcomes:
        """A cell's outcomes on the items of one part: ``choose`` or ``report``."""
        task = self._task(cell.task)
        metric, filter_name = self.book.metric(task, cell.variant)
        return outcomes(result.samples(), metric, filter_name, self._names(cell, part))

    def facts(self, cell: Cell, result: CellResult) -> Mapping[str, Any]:
        """What a cell's outputs look like on the reported items; see ``outputs.describe``."""
        if not self._splits:
            return result.facts
        names = self._names(cell, "report")
        rows = [row for row in result.samples() if row["doc_id"] in names[row["task"]]]
        return {**result.facts, **describe(rows, result.facts["lengths"])}

    def cautions(self) -> list[Notice]:
        """What to know of the donors' rows: how the donors are prompted otherwise than the target.

        Of inputs that are here; those on the Hub alone are not looked at.
        """
        seen = see_models(self.recipe.config, see_local, False) if self.plan.donors else ()
        models = {model.reference: model for model in seen if isinstance(model, Model)}
        lines = prompts.differences(models)
        if not lines:
            return []
        own = "Each donor is evaluated with its own."
        targets = "Donors are evaluated with the target's; donors: own_prompts takes their own."
        advice = own if self.plan.donors == "own_prompts" else targets
        return [Notice(prompts.HEADLINE, tuple(lines), advice)]

    def head(self) -> dict[str, object]:
        """What a results folder says about its experiment."""
        return {
            "plan": self.plan.model_dump(mode="json"),
            "recipe": self.recipe.text,
            "versions": versions(),
        }

    def running_code(self) -> list[str]:
        """The tasks that execute what a model wrote, validation tasks among them."""
        return [
            name
            for name in dict.fromkeys(c.task for c in self.outline(max(self.plan.scales)).cells)
            if any(getattr(t, "UNSAFE_CODE", False) for t in self.book.tasks(name).values())
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
        facts = differing(load_yaml(found["recipe"], source="recipe"), self.recipe)
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

    def _names(self, cell: Cell, part: str) -> dict[str, dict[int, str]]:
        return {
            subtask: {i: name for i, name in items if self._takes(cell, name, part)}
            for subtask, items in self.book.items(cell.variant, self.plan.limit).items()
        }

    @property
    def _splits(self) -> bool:
        return self.plan.selection.by == "share" and len(self.plan.scales) > 1

    def _takes(self, cell: Cell, name: str, part: str) -> bool:
        plan = self.plan
        if not self._splits:
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

    def _known(self, variant: str) -> int:
        return sum(min(n, self.plan.limit or n) for n in known_sizes(variant))

    def _size(self, variant: str) -> int:
        return sum(len(items) for items in self.book.items(variant, self.plan.limit).values())

    def _check(self, outline: Outline) -> None:
        self.book.require(outline.cells)
        for cell in outline.cells:
            self.book.metric(self._task(cell.task), cell.variant)
        self._require_distinct(outline)
        for cell in dict.fromkeys(replace(c, state=TARGET) for c in outline.report):
            self._require_enough(cell)
        if not self._splits:
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

    def _require_distinct(self, outline: Outline) -> None:
        seen: dict[tuple[object, ...], Cell] = {}
        for cell in outline.cells:
            other = seen.setdefault((cell.variant, cell.state, cell.forced), cell)
            if other.task != cell.task:
                raise PlanError(
                    "Two tasks of the plan are one.",
                    [f"{other.task} and {cell.task} both evaluate {cell.variant}"],
                    "take one of them out of the plan, or its prompt or perturbation.",
                )

    def _require_enough(self, cell: Cell) -> None:
        """Refuse a set in which a subtask reports one item alone: it shows no spread.

        So is a perturbed set of so few items that it shows no effect, and may be no fair share.
        """
        counts = {subtask: len(found) for subtask, found in self._names(cell, "report").items()}
        few = [f"would be reported, {s}: {count}" for s, count in counts.items() if count < _SPREAD]
        kept, least = self._size(cell.variant), self._task(cell.task).min_items
        offered = self._size(replace(cell, perturbation=None).variant)
        if not few and cell.perturbation and kept < least <= offered:
            few = [f"{kept} of {offered} items could be perturbed, and min_items is {least}"]
        if few:
            raise PlanError(
                f"The task {cell.variant} has too few items to estimate an error from.",
                few[:3],
                "raise limit, take the task or its perturbation out of the plan, or set the "
                "task's min_items.",
            )


def prepare(source: PlanSource, changes: Changes | None = None, *, dry: bool = False) -> Experiment:
    """Read a plan and its recipe, and build the tasks; if ``dry``, those whose data is here."""
    plan, recipe = read_plan(source, changes)
    return Experiment(plan, open_recipe(recipe), TaskBook(), dry=dry)
