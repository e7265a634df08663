"""Run one cell, as every engine does: set the weights, evaluate with lm-eval, file the results."""

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rvec_merge.engine.inputs import fetch
from rvec_merge.errors import CheckpointError, why
from rvec_merge.evaluation.conditions import Cell
from rvec_merge.evaluation.fingerprint import weights_fingerprint
from rvec_merge.evaluation.forced import SweepLM
from rvec_merge.evaluation.outputs import describe, lengths
from rvec_merge.evaluation.plan import Plan
from rvec_merge.evaluation.quiet import quiet
from rvec_merge.evaluation.store import packed
from rvec_merge.evaluation.task_book import TaskBook
from rvec_merge.evaluation.weights import ResidentWeights
from rvec_merge.recipe import Recipe

if TYPE_CHECKING:
    from lm_eval.loggers import EvaluationTracker

# Parameters. Below this, torch's threads cost more than they save: an embedded model of 0.8 M took
# three times as long with two on a busy machine.
_SMALL = 20_000_000
_VERSIONED = ("rvec-merge", "lm-eval", "transformers", "torch", "tokenizers")


def versions() -> dict[str, str]:
    """The versions that a cell's outcome depends on."""
    return {name: version(name) for name in _VERSIONED}


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


@contextmanager
def _by_transformers(target: str) -> Iterator[None]:
    """Word what transformers, or a full device, says of the target: it may be anything."""
    try:
        yield
    except Exception as error:
        raise CheckpointError(
            "transformers cannot load the target.",
            [target, f"{type(error).__name__}: {why(error)}"],
            "see that AutoModelForCausalLM and AutoTokenizer load it, and that it fits the device.",
        ) from error


class CellRunner:
    """One loaded model and the tasks of one plan.

    Loading happens with the first cell that has to be run, so a finished experiment costs none.

    Args:
        device: cpu, or the CUDA device that holds the model.
        spread: whether all visible CUDA devices hold a share of the model instead.
    """

    def __init__(
        self, plan: Plan, recipe: Recipe, book: TaskBook, device: str, *, spread: bool = False
    ) -> None:
        self.plan = plan
        self.recipe = recipe
        self.book = book
        self.device = device
        self.spread = spread

    def depends(self, cell: Cell) -> dict[str, Any]:
        """All that the cell's outcome depends on: weights, items, settings, versions."""
        plan = self.plan
        return {
            "weights": weights_fingerprint(self.recipe, cell.state),
            "precision": plan.precision,
            "task": self.book.fingerprint(cell.variant, plan.limit),
            "variant": cell.variant,
            "forced": cell.forced,
            "generation": plan.generation.model_dump(exclude_none=True),
            "chat_template": plan.chat_template,
            "batch_size": plan.batch_size,
            "limit": plan.limit,
            "seed": plan.seed,
            "device": torch.device(self.device).type,
            "versions": versions(),
        }

    def key(self, cell: Cell) -> str:
        """Hash of what the cell depends on; finished cells are filed under it."""
        text = json.dumps(self.depends(cell), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def load(self) -> None:
        """Load the target and map the donors; ``run`` does it otherwise."""
        _ = self._lm, self._weights

    def run(self, cell: Cell) -> Evaluated:
        """Evaluate a cell."""
        from lm_eval.loggers import EvaluationTracker

        began = time.perf_counter()
        depends = self.depends(cell)  # first: lm-eval writes what it was told into the tasks
        self._weights.become(cell.state)
        self._lm.withholding = self.book.withholding(cell.variant) if cell.forced else None
        with tempfile.TemporaryDirectory(prefix="rvec-cell-") as scratch:
            tracker = EvaluationTracker(output_path=scratch)
            samples = self._evaluate(cell, tracker)
            rows = [{**row, "task": task} for task in sorted(samples) for row in samples[task]]
            long = lengths(rows, lambda text: len(self._tokenizer.encode(text)))
            facts = {**describe(rows, long), "lengths": long}
            effect = self._weights.effect
            facts["effective_scale"] = effect.effective_scale if effect else None
            files = packed(Path(scratch))
        return Evaluated(cell, depends, facts, files, time.perf_counter() - began)

    def _evaluate(self, cell: Cell, tracker: "EvaluationTracker") -> dict[str, Any]:
        from lm_eval import simple_evaluate

        from rvec_merge.evaluation.machine import one_look_at_the_machine
        from rvec_merge.evaluation.templates import fast_templates

        plan = self.plan
        tasks = self.book.tasks(cell.variant)
        generation = plan.generation.model_dump(exclude_none=True)
        with quiet(), fast_templates(), one_look_at_the_machine():
            results = simple_evaluate(
                self._lm,
                model_args=f"pretrained={self.recipe.config.base_model},{cell.condition}",
                tasks=list(tasks.values()),
                task_manager=self.book.manager(cell.variant),
                batch_size=plan.batch_size,
                limit=plan.limit,
                bootstrap_iters=0,  # the intervals that are reported are paired, and ours
                evaluation_tracker=tracker,
                apply_chat_template=plan.chat_template
                and self._tokenizer.chat_template is not None,
                gen_kwargs=generation or None,
                random_seed=plan.seed,
                numpy_random_seed=plan.seed,
                torch_random_seed=plan.seed,
                fewshot_random_seed=plan.seed,
                confirm_run_unsafe_code=True,  # the command has asked
            )
            samples: dict[str, Any] = results.pop("samples")
            # Written as lm-eval writes them, so that its tools, and `rvec compare`, read them.
            tracker.save_results_aggregated(results=results, samples=samples)
            for name, rows in samples.items():
                tracker.save_results_samples(task_name=name, samples=rows)
        return samples

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        with _by_transformers(self._target):
            return AutoTokenizer.from_pretrained(self._target)

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForCausalLM

        dtype = getattr(torch, self.plan.precision)
        placed = {"device_map": "auto"} if self.spread else {}
        with quiet(), _by_transformers(self._target):
            model = AutoModelForCausalLM.from_pretrained(self._target, dtype=dtype, **placed)
            if model.num_parameters() < _SMALL:
                torch.set_num_threads(1)
            return (model if self.spread else model.to(self.device)).eval()

    @cached_property
    def _lm(self) -> SweepLM:
        with quiet():
            return SweepLM(
                pretrained=self._model,
                tokenizer=self._tokenizer,
                batch_size=self.plan.batch_size,
                device=self.device,
            )

    @cached_property
    def _weights(self) -> ResidentWeights:
        with quiet():
            return ResidentWeights(self.recipe, self._model)

    @property
    def _target(self) -> str:
        # The same files that the weights are recomputed from, at the recipe's revision.
        return str(fetch(self.recipe.config.base_model))
