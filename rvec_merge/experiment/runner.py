"""Run one cell, as every engine does: set the weights, evaluate with lm-eval, file the results."""

import gc
import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rvec_merge.experiment.backends.base import Backend, Loaded
from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.fingerprint import weights_fingerprint
from rvec_merge.experiment.others import other_recipes
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.states import DONORS, donor_of
from rvec_merge.experiment.store import packed
from rvec_merge.experiment.tasks import TaskBook
from rvec_merge.hub.models import folder_of
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Reference
from rvec_merge.shown import quiet
from rvec_merge.tasks.outputs import describe, lengths

if TYPE_CHECKING:
    from lm_eval.loggers import EvaluationTracker

_VERSIONED = ("rvec-merge", "lm-eval", "transformers", "torch", "tokenizers")


def versions() -> dict[str, str]:
    """The versions that a cell's outcome depends on."""
    return {name: version(name) for name in _VERSIONED}


# By subtask, the doc_ids of some items.
Items: TypeAlias = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Evaluated:
    """A cell that was run, not filed yet.

    Attributes:
        depends: what its outcome depended on, where it ran.
        facts: see ``outputs.describe``.
        files: what lm-eval wrote, as ``store.packed`` packs it.
        seconds: that running it took.
    """

    cell: Cell
    depends: Mapping[str, Any]
    facts: Mapping[str, Any]
    files: Mapping[str, bytes]
    seconds: float


class CellRunner:
    """One loaded model and the tasks of one plan.

    Loading happens with the first cell that has to be run, so a finished experiment costs none.

    Args:
        backend: loads the model and evaluates with it.
    """

    def __init__(self, plan: Plan, recipe: Recipe, book: TaskBook, backend: Backend) -> None:
        self.plan = plan
        self.recipe = recipe
        self.book = book
        self.backend = backend
        self.others = other_recipes(plan, recipe)
        self._loaded: Loaded | None = None
        self._holds: Reference | None = None
        self._seconds_a_token = 0.0  # that was spent before the cell that is run

    def depends(self, cell: Cell, plan: Plan | None = None) -> dict[str, Any]:
        """All that the cell's outcome depends on: weights, items, settings, versions.

        Args:
            plan: another with the same recipe; None for the runner's own.
        """
        plan = plan or self.plan
        return {
            "weights": weights_fingerprint(
                self.recipe, cell.state, self.others.get(cell.state.name)
            ),
            "precision": plan.precision,
            "task": self.book.fingerprint(cell.variant, plan.limit),
            "variant": cell.variant,
            "samples": plan.task(cell.task).samples,
            "thinking": plan.thinking.model_dump(exclude_none=True),
            "own_prompts": self._own(cell) is not None,
            "forced": cell.forced,
            "generation": plan.generation_of(cell.task).model_dump(exclude_none=True),
            "chat_template": plan.chat_template,
            "batch_size": plan.batch_size,
            "limit": plan.limit,
            "seed": plan.seed,
            "backend": self.backend.depends(plan),
            "versions": versions(),
        }

    def key(self, cell: Cell, plan: Plan | None = None) -> str:
        """Hash of what the cell ``depends`` on; finished cells are filed under it."""
        text = json.dumps(self.depends(cell, plan), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def load(self) -> None:
        """Load the target and map the donors; ``run`` does it otherwise."""
        self._model(None)

    def outputs(self, cell: Cell, items: Items | None = None) -> int:
        """How many outputs, or scored answers, a cell or these items of it have."""
        asked = items or self.book.items(cell.variant, self.plan.limit)
        return sum(map(len, asked.values())) * self.plan.task(cell.task).samples

    def run(self, cell: Cell, items: Items | None = None) -> Evaluated:
        """Evaluate a cell, or these items of it alone."""
        from lm_eval.loggers import EvaluationTracker

        began = time.perf_counter()
        depends = self.depends(cell)  # first: lm-eval writes what it was told into the tasks
        model = self._model(self._own(cell))
        effect = model.become(cell.state)
        with tempfile.TemporaryDirectory(prefix="rvec-cell-") as scratch:
            tracker = EvaluationTracker(output_path=scratch)
            samples = self._evaluate(cell, model, tracker, items)
            rows = [{**row, "task": task} for task in sorted(samples) for row in samples[task]]
            long = lengths(rows, lambda text: len(model.tokenizer.encode(text)))
            facts = {**describe(rows, long), "lengths": long}
            facts["effective_scale"] = effect.effective_scale if effect else None
            files = packed(Path(scratch))
        tokens = sum(sum(of_item.values()) for of_item in long.values())
        prepared = tokens * self.plan.task(cell.task).samples * self._seconds_a_token
        seconds = prepared + time.perf_counter() - began
        return Evaluated(cell, depends, facts, files, seconds)

    def prepare(self, cells: Mapping[Cell, Items | None]) -> None:
        """Before cells of one state are run: generate all that they ask for, if that is faster.

        What it takes is counted as the cells' own time, by the tokens of each.
        """
        began, self._seconds_a_token = time.perf_counter(), 0.0
        cells = {c: items for c, items in cells.items() if self.book.generates(c.variant)}
        if len(cells) < 2:
            return
        first = next(iter(cells))
        model = self._model(self._own(first))
        asked = [partial(self._ask, cell, model, items) for cell, items in cells.items()]
        tokens = model.answer_ahead(first.state, asked)
        if tokens:
            self._seconds_a_token = (time.perf_counter() - began) / tokens

    def _ask(self, cell: Cell, model: Loaded, items: Items | None) -> None:
        from lm_eval.loggers import EvaluationTracker

        with tempfile.TemporaryDirectory(prefix="rvec-cell-") as scratch:
            self._evaluate(cell, model, EvaluationTracker(output_path=scratch), items)

    def _evaluate(
        self, cell: Cell, model: Loaded, tracker: "EvaluationTracker", items: Items | None
    ) -> dict[str, Any]:
        from lm_eval import simple_evaluate

        from rvec_merge.tasks.harness import fast_templates, one_look_at_the_machine, read_after

        plan = self.plan
        model.withhold(self.book.withholding(cell.variant) if cell.forced else None)
        tasks = self.book.tasks(cell.variant)
        if items is not None:
            tasks = {name: task for name, task in tasks.items() if name in items}
        generation = plan.generation_of(cell.task).model_dump(exclude_none=True)
        evaluated = self._own(cell) or self.recipe.config.base_model
        for task in tasks.values():
            if (repeats := plan.task(cell.task).samples) > 1:
                task.set_config("repeats", repeats)
            if plan.thinking.end is not None:
                read_after(task, plan.thinking.end)
        if plan.thinking.on is not None:
            model.lm.chat_template_args = {"enable_thinking": plan.thinking.on}
        model.lm.cut.clear()
        with quiet(), fast_templates(), one_look_at_the_machine():
            results = simple_evaluate(
                model.lm,
                model_args=f"pretrained={evaluated},{cell.condition}",
                tasks=list(tasks.values()),
                task_manager=self.book.manager(cell.variant),
                batch_size=plan.batch_size,
                limit=plan.limit if items is None else None,
                samples=None if items is None else {n: list(ids) for n, ids in items.items()},
                bootstrap_iters=0,  # the intervals that are reported are paired, and ours
                evaluation_tracker=tracker,
                apply_chat_template=plan.chat_template
                and model.tokenizer.chat_template is not None,
                gen_kwargs=generation or None,
                random_seed=plan.seed,
                numpy_random_seed=plan.seed,
                torch_random_seed=plan.seed,
                fewshot_random_seed=plan.seed,
                confirm_run_unsafe_code=True,  # the command has asked
            )
            samples: dict[str, Any] = results.pop("samples")
            _note_endings(samples, model.lm.cut)
            # Written as lm-eval writes them, so that its tools, and `rvec compare`, read them.
            tracker.save_results_aggregated(results=results, samples=samples)
            for name, rows in samples.items():
                tracker.save_results_samples(task_name=name, samples=rows)
        return samples

    def _model(self, donor: Reference | None) -> Loaded:
        """The model that evaluates: the target, whatever its weights, or a donor by itself.

        One is in memory at a time.
        """
        # By donor, not by folder: a donor may be the target, whose weights change in memory.
        if self._loaded is None or self._holds != donor:
            if self._loaded is not None:
                self._loaded.close()
                self._loaded = None
                gc.collect()
            # The same files that the weights are recomputed from, at the recipe's revision.
            folder = folder_of(self.recipe.config.target if donor is None else donor)
            changing = self.recipe if donor is None else None
            self._loaded = self.backend.load(folder, self.plan, changing, self.others)
            self._holds = donor
        return self._loaded

    def _own(self, cell: Cell) -> "Reference | None":
        """The donor that evaluates a cell as its folder alone would be; None for the target."""
        if self.plan.donors != "own_prompts" or cell.state.kind not in DONORS:
            return None
        return donor_of(self.recipe, cell.state.kind)


def _note_endings(samples: Mapping[str, Sequence[dict[str, Any]]], cut: Mapping[str, bool]) -> None:
    """Write into generated samples whether the token budget cut an output off."""
    for row in (row for rows in samples.values() for row in rows):
        prompt = row["arguments"][0][0]
        if prompt in cut:
            row["finish_reasons"] = ["length" if cut[prompt] else "stop"]
