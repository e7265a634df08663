"""What a Ray worker runs: one loaded target, asked for one cell after another.

Imports nothing heavy: the environment is set first, and huggingface_hub reads it when imported.
"""

import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rvec_merge.experiment.backends.choice import BackendChoice
    from rvec_merge.experiment.conditions import Cell
    from rvec_merge.experiment.engines.base import Failed
    from rvec_merge.experiment.runner import Evaluated, Items


@dataclass(frozen=True)
class Job:
    """What a worker needs to know, as plain data.

    Attributes:
        plan: the plan, as JSON.
        recipe, source: the recipe's text and where it was read.
        folder: where the recipe's relative paths start.
        environment: variables to set.
        backend: what evaluates.
    """

    plan: str
    recipe: str
    source: str
    folder: str
    environment: Mapping[str, str]
    backend: "BackendChoice"


class Worker:
    """One resident model of an experiment."""

    def __init__(self, job: Job) -> None:
        self._job = job
        os.environ.update(job.environment)
        if os.path.isdir(job.folder):
            os.chdir(job.folder)

    def load(self) -> str | None:
        """Load the target; returns the traceback if that fails."""
        try:
            self._runner = self._build()
            self._runner.load()
        except Exception:
            return traceback.format_exc()
        return None

    def run(self, cell: "Cell", items: "Items | None") -> "Evaluated | Failed":
        """Evaluate a cell, or these items of it alone."""
        from rvec_merge.experiment.engines.base import attempt

        return attempt(self._runner, cell, items)

    def _build(self) -> Any:
        from rvec_merge.experiment.plan import Plan
        from rvec_merge.experiment.runner import CellRunner
        from rvec_merge.experiment.tasks import TaskBook
        from rvec_merge.recipe.read import parse_recipe

        job = self._job
        plan = Plan.model_validate_json(job.plan)
        recipe = parse_recipe(job.recipe, source=job.source)
        return CellRunner(plan, recipe, TaskBook(), job.backend.backend())
