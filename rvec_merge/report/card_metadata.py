"""The machine-readable part of a model card: metadata, and results in the Hub's two forms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData

from rvec_merge.errors import RvecError
from rvec_merge.evaluation import wording
from rvec_merge.evaluation.conditions import Cell, State
from rvec_merge.evaluation.flips import Flips
from rvec_merge.evaluation.reading import Recorded, TaskSettings, damaged, read_as
from rvec_merge.evaluation.summary import Row
from rvec_merge.recipe import Recipe
from rvec_merge.report.results import Results

PAPER = "2509.01363"
TAGS = ("reasoning-vector", "mergekit", "merge", "rvec-merge")
_LICENSE_KEYS = ("license", "license_name", "license_link")


@dataclass(frozen=True)
class Measured:
    """One result of the merged model: clean items, one task, one prompt.

    Attributes:
        dataset: the Hub's dataset; None where not all of its items, or others, were used.
        date: when it was evaluated.
    """

    row: Row
    metric: str
    binary: bool
    dataset: str | None
    config: str | None
    split: str | None
    date: str

    @property
    def value(self) -> float:
        """Per cent for outcomes that are right or wrong."""
        return self.in_its_unit(self.row.level.mean)

    def in_its_unit(self, number: float) -> float:
        """A mean, an error or a difference in the unit of ``value``."""
        return round(number * (100 if self.binary else 1), 4)

    @property
    def notes(self) -> str:
        """How it was measured, in one sentence."""
        compared = self.row.comparison
        assert compared is not None
        moved = wording.change(compared.difference, binary=self.binary)
        prompt = "" if self.row.cell.prompt == "plain" else f"{self.row.cell.prompt} prompt, "
        return (
            f"{self.row.cell.variant}, {prompt}n = {self.row.level.n}, standard error "
            f"{wording.level(self.row.level, binary=self.binary).partition('± ')[2]}; {moved} "
            f"({wording.interval(compared)}) against the target on the same items"
        )


def measured(results: Results) -> list[Measured]:
    """What the experiment measured of the merged model itself, on clean items."""
    vector = State("vector", results.summary.scale)
    found = []
    for row, flips in results.records():
        if row.cell == Cell(row.cell.task, vector, row.cell.prompt):
            settings, date = _lm_eval(results, flips)
            dataset = _hub_dataset(settings) if _is_whole(results, row.cell.task) else None
            found.append(
                Measured(
                    row,
                    flips.metric,
                    results.binary(row.cell.task),
                    dataset,
                    settings.dataset_name,
                    settings.test_split or settings.validation_split,
                    date,
                )
            )
    return found


def add_metadata(data: ModelCardData, recipe: Recipe, found: Sequence[Measured], name: str) -> None:
    """Add what the merge and the experiment know; what the card says already is kept."""
    bases = [str(r) for r in _models(recipe) if not Path(str(r)).exists()]
    if bases:
        data.base_model = bases
        data["base_model_relation"] = "merge"
    elif not data.base_model:
        data.base_model = None  # mergekit writes an empty list, which means nothing
    data.tags = _joined(data.tags, TAGS)
    data.library_name = data.library_name or "transformers"
    data.datasets = _joined(data.datasets, [m.dataset for m in found if m.dataset]) or None
    data["arxiv"] = _joined(data.get("arxiv"), [PAPER])
    if not any(data.get(key) for key in _LICENSE_KEYS):
        data.license = shared_license(recipe)
    ours = [_eval_result(m) for m in found]
    named = {(r.dataset_name, r.metric_name) for r in ours}
    kept = [r for r in data.eval_results or [] if (r.dataset_name, r.metric_name) not in named]
    data.model_name = data.model_name or name
    data.eval_results = kept + ours


def eval_entries(found: Sequence[Measured]) -> dict[str, list[EvalResultEntry]]:
    """The Hub's ``.eval_results`` files by name; only datasets that are on the Hub have one."""
    return {
        f"{m.row.cell.variant}.yaml": [
            EvalResultEntry(
                dataset_id=m.dataset,
                task_id=m.config or "default",
                value=m.value,
                date=m.date,
                notes=m.notes,
            )
        ]
        for m in found
        if m.dataset
    }


def shared_license(recipe: Recipe) -> str | None:
    """The licence that every input states, where they all state the same."""
    from rvec_merge.checkpoint import Checkpoint
    from rvec_merge.vector.provenance import describe

    found: set[str | None] = set()
    for reference in _models(recipe):
        try:
            checkpoint = Checkpoint.open(Path(str(reference)))
            found.add(describe(reference, checkpoint, hash_files=False).license)
        except RvecError:
            return None  # not on this disk, so nobody here knows
    return found.pop() if len(found) == 1 else None


def _models(recipe: Recipe) -> list[Any]:
    target = recipe.config.base_model
    return sorted(recipe.config.referenced_models(), key=lambda r: (r != target, str(r)))


def _eval_result(found: Measured) -> EvalResult:
    row = found.row
    compared = row.comparison
    assert compared is not None
    return EvalResult(
        task_type="text-generation",
        task_name="Text generation",
        dataset_name=row.cell.task,
        dataset_type=found.dataset or row.cell.task,
        dataset_config=found.config,
        dataset_split=found.split,
        metric_type=found.metric,
        metric_name=f"{found.metric}, {row.cell.prompt} prompt",
        metric_value=found.value,
        metric_args={
            "n": row.level.n,
            "standard_error": found.in_its_unit(row.level.standard_error),
            "difference_from_target": found.in_its_unit(compared.difference),
            "interval_95": [found.in_its_unit(end) for end in (compared.low, compared.high)],
            "p_adjusted": row.p_adjusted,
        },
    )


def _is_whole(results: Results, task: str) -> bool:
    """Whether every item of the task is reported."""
    plan = results.plan
    named = next(t for t in plan.tasks if t.task == task)
    set_aside = plan.selection.by == "share" and len(plan.scales) > 1 and named.selects
    return plan.limit is None and not set_aside


def _hub_dataset(settings: TaskSettings) -> str | None:
    """The Hub's dataset that lm-eval read; None for local data in its place."""
    dataset, metadata = settings.dataset_path, settings.metadata
    local = isinstance(metadata, dict) and "data_sha256" in metadata
    named = dataset is not None and "/" in dataset and not Path(dataset).exists()
    return dataset if named and not local else None


def _lm_eval(results: Results, flips: Flips) -> tuple[TaskSettings, str]:
    """The first subtask's settings as lm-eval recorded them, and the date."""
    folder = results.cell(flips).folder
    for path in sorted(folder.glob("results_*.json")):
        recorded = read_as(path, Recorded)
        settings = recorded.configs.get(min(flips.rose))
        if settings is None or recorded.date is None:
            raise damaged(path, f"no date, or no settings of {min(flips.rose)}")
        date = datetime.fromtimestamp(recorded.date, timezone.utc)
        return settings, date.strftime("%Y-%m-%d")
    raise damaged(folder, "lm-eval's results file is gone")


def _joined(old: Any, new: Sequence[str]) -> list[str]:
    before = [old] if isinstance(old, str) else list(old or [])
    return list(dict.fromkeys([*before, *new]))
