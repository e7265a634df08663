"""The machine-readable part of a model card: metadata, and results in the Hub's two forms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData

from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.files.reading import Recorded, TaskSettings, damaged, read_as
from rvec_merge.hub.layout import TAGS
from rvec_merge.recipe.read import Recipe
from rvec_merge.results import wording
from rvec_merge.results.flips import Flips
from rvec_merge.results.read import Results
from rvec_merge.results.summary import Row
from rvec_merge.sharing.card import LIBRARY, PAPER, pipeline_tag
from rvec_merge.sharing.index import benchmark_task
from rvec_merge.sharing.origin import origin_of, recipe_sources

_TAGS = (*TAGS, "merge", LIBRARY)
_LICENSE_KEYS = ("license", "license_name", "license_link")


@dataclass(frozen=True)
class Measured:
    """One result of the merged model: clean items, one task, one prompt.

    Attributes:
        dataset: the Hub's dataset; None where not all of its items, or others, were used.
        task_id: what the dataset calls its task; None where it is no benchmark of the Hub.
        date: when it was evaluated.
    """

    row: Row
    metric: str
    binary: bool
    dataset: str | None
    config: str | None
    split: str | None
    task_id: str | None
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
            name = settings.dataset_name
            split = settings.test_split or settings.validation_split
            task_id = None if dataset is None else benchmark_task(dataset, name, split)
            binary = results.binary(row.cell.task)
            found.append(Measured(row, flips.metric, binary, dataset, name, split, task_id, date))
    return found


def add_metadata(
    data: ModelCardData, recipe: Recipe, found: Sequence[Measured], model: Path
) -> None:
    """Add what the merge and the experiment know; what the card says already is kept."""
    origin = origin_of(recipe_sources(recipe))
    if origin.models:
        data.base_model = [reference.repo_id for reference in origin.models]
        data["base_model_relation"] = "merge"
    elif not data.base_model:
        data.base_model = None  # mergekit writes an empty list, which means nothing
    data.tags = _joined(data.tags, _TAGS)
    data.library_name = data.library_name or "transformers"
    data.pipeline_tag = data.pipeline_tag or pipeline_tag(model)
    data["arxiv"] = _joined(data.get("arxiv"), [PAPER])
    if not any(data.get(key) for key in _LICENSE_KEYS):
        data.license = origin.shared_license
    ours = [_eval_result(m) for m in found]
    named = {(r.dataset_name, r.metric_name) for r in ours}
    kept = [r for r in data.eval_results or [] if (r.dataset_name, r.metric_name) not in named]
    data.model_name = data.model_name or model.resolve().name
    data.eval_results = kept + ours


def eval_entries(found: Sequence[Measured]) -> dict[str, list[EvalResultEntry]]:
    """The Hub's ``.eval_results`` files by name; only its benchmarks have one."""
    return {
        f"{m.row.cell.variant}.yaml": [
            EvalResultEntry(
                dataset_id=m.dataset,
                task_id=m.task_id,
                value=m.value,
                date=m.date,
                notes=m.notes,
            )
        ]
        for m in found
        if m.dataset and m.task_id
    }


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
