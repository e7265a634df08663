"""An experiment as its plan asks for it: cells, items and outcomes, before and after they run."""

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvec_merge.answer.judge import METRICS
from rvec_merge.errors import Notice, ResultsError
from rvec_merge.experiment.conditions import Cell, report_cells, sweep_cells
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.runner import versions
from rvec_merge.experiment.states import DONORS, donor_of
from rvec_merge.experiment.store import CellResult
from rvec_merge.experiment.tasks import TaskBook
from rvec_merge.plan.inputs import Input
from rvec_merge.preflight import prompts, see_local
from rvec_merge.preflight.models import see_models
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.yaml import load_yaml
from rvec_merge.stats.significance import Outcomes
from rvec_merge.tasks.outputs import describe, outcomes
from rvec_merge.tasks.tasks_index import known_sizes, stated_budget


@dataclass(frozen=True)
class Outline:
    """What an experiment will run, known before it starts.

    Attributes:
        sweep: the cells that choose the scale.
        report: the cells that are reported, for the scale chosen; counts do not depend on it.
        generations: outputs that will be generated or scored, all cells together.
        estimated: variants whose items are not here; they count with the known sizes of their
            clean sets, or not at all.
        budgets: by task, the tokens that an output may have, where that is known.
        tokens: of all outputs together, at most, without those of ``unbudgeted`` tasks.
        unbudgeted: tasks that write nothing (they score given answers), or state no budget.
    """

    sweep: tuple[Cell, ...]
    report: tuple[Cell, ...]
    generations: int
    estimated: tuple[str, ...] = ()
    budgets: Mapping[str, int] = field(default_factory=dict)
    tokens: int = 0
    unbudgeted: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(dict.fromkeys(self.sweep + self.report))


class Experiment:
    """A plan with its recipe and tasks, checked as far as can be without running anything.

    Raises:
        PlanError: a task, prompt, perturbation, metric or filter does not exist, a task has too
            few items to split, or the recipe has no donors of one pair to evaluate.
    """

    def __init__(self, plan: Plan, recipe: Recipe, book: TaskBook) -> None:
        self.plan = plan
        self.recipe = recipe
        self.book = book
        for role in DONORS if plan.donors else ():
            donor_of(recipe, role)

    def outline(self, scale: float | None = None, *, dry: bool = False) -> Outline:
        """The cells for a chosen scale; None where none is: the cells then are at some scale.

        Args:
            dry: whether the items of some may be missing; see ``Outline``.

        Raises:
            PlanError: a task, or a variant of it, does not exist.
        """
        sweep = tuple(sweep_cells(self.plan))
        asked = report_cells(self.plan, self.plan.scales[0] if scale is None else scale)
        self.book.require([*sweep, *asked])
        variants = {c.variant for c in (*sweep, *asked)}
        missing = {v for v in variants if not self.book.is_here(v)} if dry else set()
        report = tuple(c for c in asked if c.variant in missing or self._possible(c))
        both = dict.fromkeys(sweep + report)
        sizes = {
            v: self._known(v) if v in missing else self.size(v) for v in {c.variant for c in both}
        }
        outputs = {c: sizes[c.variant] * self.plan.task(c.task).samples for c in both}
        budgets = self._budgets(both, missing)
        tokens = sum(count * budgets.get(c.task, 0) for c, count in outputs.items())
        total, unseen = sum(outputs.values()), tuple(sorted(missing))
        rest = tuple(dict.fromkeys(c.task for c in both if c.task not in budgets))
        return Outline(sweep, report, total, unseen, budgets, tokens, rest)

    def _budgets(self, cells: Iterable[Cell], missing: Set[str]) -> dict[str, int]:
        found: dict[str, int | None] = {}
        for task in dict.fromkeys(c.task for c in cells if c.variant == c.task):
            given = self.plan.generation_of(task).max_gen_toks
            if task in missing:
                found[task] = given or stated_budget(task)
            else:
                found[task] = self.book.budget(task, given)
        return {task: tokens for task, tokens in found.items() if tokens is not None}

    def outcomes(self, cell: Cell, result: CellResult, part: str) -> Outcomes:
        """A cell's outcomes on the items of one part: ``choose`` or ``report``."""
        task = self.plan.task(cell.task)
        return self.scored(cell, result, *self.book.metric(task, cell.variant), part=part)

    def scored(
        self, cell: Cell, result: CellResult, metric: str, filter_name: str, part: str = "report"
    ) -> Outcomes:
        """A cell's outcomes by any metric and filter of its task."""
        return outcomes(result.samples(), metric, filter_name, self.names(cell, part))

    def stock(self, cell: Cell, facts: Mapping[str, Any]) -> tuple[str, str] | None:
        """The metric and filter that lm-eval's own task has first, where ``answer`` is tested.

        By the name that it is logged under: that of a function, as HumanEval's, is another.
        """
        tested, filter_name = self.book.metric(self.plan.task(cell.task), cell.variant)
        own = [name for name in facts["means"].get(filter_name, ()) if name not in METRICS]
        return (own[0], filter_name) if own and tested == "answer" else None

    def facts(self, cell: Cell, result: CellResult) -> Mapping[str, Any]:
        """What a cell's outputs look like on the reported items; see ``outputs.describe``."""
        if not self.splits:
            return result.facts
        names = self.names(cell, "report")
        rows = [row for row in result.samples() if row["doc_id"] in names[row["task"]]]
        return {**result.facts, **describe(rows, result.facts["lengths"])}

    def cautions(self) -> list[Notice]:
        """What to know of the donors' rows: how the donors are prompted otherwise than the target.

        Of inputs that are here; those on the Hub alone are not looked at.
        """
        seen = see_models(self.recipe.config, see_local, False) if self.plan.donors else ()
        models = {model.reference: model for model in seen if isinstance(model, Input)}
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
            for name in dict.fromkeys(c.task for c in self.outline().cells)
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
        there, here = (
            _without_scale(load_yaml(text, source="recipe"))
            for text in (found["recipe"], self.recipe.text)
        )
        facts = [
            f"recipe.{key}: {there.get(key)} there, {here.get(key)} here"
            for key in {**there, **here}
            if there.get(key) != here.get(key)
        ]
        filed = [task["task"] for task in found["plan"]["tasks"]]
        planned = [task.task for task in self.plan.tasks]
        if not set(filed) & set(planned):
            facts.append(f"tasks: {', '.join(filed)} there, {', '.join(planned)} here")
        if facts:
            raise ResultsError(
                "The results folder was written by another plan.",
                [f"{folder}: {found['plan']['recipe']} there, {self.plan.recipe} here", *facts],
                "name a new folder.",
            )

    def names(self, cell: Cell, part: str) -> dict[str, dict[int, str]]:
        return {
            subtask: {i: name for i, name in items if self.takes(cell, name, part)}
            for subtask, items in self.book.items(cell.variant, self.plan.limit).items()
        }

    @property
    def splits(self) -> bool:
        return self.plan.selection.by == "share" and len(self.plan.scales) > 1

    def takes(self, cell: Cell, name: str, part: str) -> bool:
        plan = self.plan
        if not self.splits:
            return True
        if not self.plan.task(cell.task).selects:
            return part == "report"
        drawn = hashlib.sha256(f"{plan.seed}/{name}".encode()).digest()
        chooses = int.from_bytes(drawn[:8], "big") < plan.selection.share * 2**64
        return chooses == (part == "choose")

    def _possible(self, cell: Cell) -> bool:
        return not cell.forced or self.book.withholding(cell.variant) is not None

    def _known(self, variant: str) -> int:
        return sum(min(n, self.plan.limit or n) for n in known_sizes(variant))

    def size(self, variant: str) -> int:
        return sum(len(items) for items in self.book.items(variant, self.plan.limit).values())


def _without_scale(recipe: Any) -> dict[str, Any]:
    if not isinstance(recipe, dict) or not isinstance(recipe.get("parameters"), dict):
        return {"recipe": recipe}
    parameters = dict(recipe["parameters"])
    if isinstance(parameters.get("scale"), int | float):
        del parameters["scale"]
    return {**recipe, "parameters": parameters}
