"""Reading what lm-eval wrote: per-item outcomes from ``samples_*.jsonl``, compressed or not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvec_merge.errors import ResultsError
from rvec_merge.files.names import NAME
from rvec_merge.files.reading import Budget, Recorded, TaskSettings, read_as
from rvec_merge.files.reading import read_rows as stored_rows
from rvec_merge.stats.resampling import Floats
from rvec_merge.stats.significance import Outcomes
from rvec_merge.tasks.perturb.items import LABEL, ORIGIN

_DATE = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?"
_SAMPLES = re.compile(rf"samples_(?P<task>{NAME}?)(?:_(?P<date>{_DATE}))?\.jsonl(?:\.gz)?")


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 128  # an array is as wide as its longest text


_REQUIRED: Mapping[str, Callable[[Any], bool]] = {
    "doc_id": lambda value: isinstance(value, int) and abs(value) < 2**63,
    "filter": lambda value: isinstance(value, str),
    "metrics": lambda value: (
        isinstance(value, list) and all(isinstance(name, str) for name in value)
    ),
    "doc_hash": _is_hash,
    "prompt_hash": _is_hash,
    "target_hash": _is_hash,
}


@dataclass(frozen=True, eq=False)
class FilteredSamples:
    """One task's outcomes under one filter, sorted by ``doc_id``.

    Shapes: every array ``(n,)``. A metric without a number per item is not in ``metrics``.

    Attributes:
        items: which item of the clean set each one is: its ``doc_id``, or, for an item that we
            perturbed, the one it was made from. (Items that cannot be perturbed leave gaps, so
            that a perturbed set has other ``doc_id``s.)
    """

    task: str
    filter: str
    doc_ids: NDArray[np.int64]
    items: NDArray[np.int64]
    doc_hashes: NDArray[np.str_]
    prompt_hashes: NDArray[np.str_]
    target_hashes: NDArray[np.str_]
    metrics: Mapping[str, Floats]

    @cached_property
    def repeats(self) -> int:
        """How many items hold a document that an earlier item holds too."""
        return int(self.doc_hashes.size - np.unique(self.doc_hashes).size)

    def outcomes(self, metric: str) -> Outcomes:
        """One metric's values, by item."""
        return Outcomes(self.items, self.metrics[metric])


@dataclass(frozen=True, eq=False)
class TaskSamples:
    """One task's outcomes under each of its filters, and where they came from."""

    task: str
    source: str
    filters: Mapping[str, FilteredSamples]
    filter_definitions: Any = None


@dataclass(frozen=True, eq=False)
class Run:
    """What one path holds: tasks by name, and groups with the tasks that belong to them."""

    source: str
    tasks: Mapping[str, TaskSamples]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_run(path: Path) -> Run:
    """Read an lm-eval output folder, at any depth, or one of its samples files.

    Raises:
        ResultsError: nothing is there, a task is there twice, or a file is not lm-eval's, is
            damaged, or was written by a version without what pairing needs.
    """
    if path.is_file():
        files = [path]
    else:
        files = sorted(p for p in path.rglob("samples_*") if _SAMPLES.fullmatch(p.name))
    if not files:
        raise ResultsError(
            f"No samples of lm-eval at {path}.",
            [f"no {'such path' if not path.exists() else 'file samples_<task>_<date>.jsonl[.gz]'}"],
            "run lm-eval with --log_samples and --output_path, and name that folder.",
        )
    by_task: dict[str, list[Path]] = {}
    for file in files:
        by_task.setdefault(_task_name(file), []).append(file)
    for task, found in by_task.items():
        if len(found) > 1:
            raise ResultsError(
                f"{path} holds {task} more than once.",
                [str(file.relative_to(path)) for file in found],
                "name one of these files, or the folder of one run.",
            )
    tasks: dict[str, TaskSamples] = {}
    groups: dict[str, tuple[str, ...]] = {}
    budget = Budget()
    for task, (file,) in by_task.items():
        results = _results_beside(file)
        rows = [_slim(row) for row in stored_rows(file, budget)]
        _require_whole(task, rows, results, file)
        definitions = results.configs.get(task, TaskSettings()).filter_list
        tasks[task] = read_rows(task, rows, source=str(file), filter_definitions=definitions)
        groups.update(_groups(results.group_subtasks))
    # A group is of use where all that belongs to it is here.
    whole = {name: leaves for name, leaves in groups.items() if set(leaves) <= set(tasks)}
    return Run(source=str(path), tasks=tasks, groups=whole)


def read_rows(
    task: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    source: str,
    filter_definitions: Any = None,
) -> TaskSamples:
    """Arrange lm-eval's sample rows of one task, read from a file or just evaluated.

    Raises:
        ResultsError: there are none, a row lacks a field, an item occurs twice under a filter,
            filters or rows disagree on items or metrics, or a metric is NaN or infinite.
    """
    by_filter: dict[str, list[Mapping[str, Any]]] = {}
    for number, row in enumerate(rows, 1):
        wrong = [name for name, fits in _REQUIRED.items() if not fits(row.get(name))]
        if wrong:
            raise ResultsError(
                f"Row {number} of {task} is no sample of lm-eval 0.4.13.",
                [f"{source}: no usable {', '.join(wrong)}"],
                "evaluate again with lm-eval 0.4.13 or later and --log_samples.",
            )
        by_filter.setdefault(row["filter"], []).append(row)
    if not by_filter:
        raise ResultsError(f"{task} has no samples.", [source], "evaluate it again.")
    filters = {name: _filtered(task, name, found, source) for name, found in by_filter.items()}
    first = next(iter(filters.values()))
    for one in filters.values():
        if not np.array_equal(one.doc_ids, first.doc_ids):
            raise ResultsError(
                f"Filters of {task} do not hold the same items.",
                [f"{f.filter}: {f.doc_ids.size} items" for f in (first, one)] + [source],
                "evaluate it again: the file was cut or edited.",
            )
    return TaskSamples(task, source, filters, filter_definitions)


def _filtered(task: str, name: str, rows: list[Mapping[str, Any]], source: str) -> FilteredSamples:
    rows = sorted(rows, key=lambda row: row["doc_id"])
    doc_ids = np.array([row["doc_id"] for row in rows], dtype=np.int64)
    twice = np.unique(doc_ids[1:][doc_ids[1:] == doc_ids[:-1]])
    if twice.size:
        raise ResultsError(
            f"{task}, filter {name}, holds {twice.size} items more than once.",
            [f"doc_id {', '.join(str(i) for i in twice[:5])}", source],
            "keep one run per file.",
        )
    # What could not be judged has no `answer`, and says so; the metric is then not of all items.
    scored = [
        set(row["metrics"]) | ({"answer"} if row.get("not_judged") else set()) for row in rows
    ]
    odd = [row["doc_id"] for row, names in zip(rows, scored, strict=True) if names != scored[0]]
    if odd:
        raise ResultsError(
            f"Items of {task}, filter {name}, were not scored by the same metrics.",
            [f"doc_id {odd[0]} has others than doc_id {doc_ids[0]}", source],
            "keep one run per file.",
        )
    metrics: dict[str, Floats] = {}
    for metric in rows[0]["metrics"]:
        values = [row.get(metric) for row in rows]
        if not all(isinstance(value, (int, float, np.number, np.bool_)) for value in values):
            continue
        metrics[metric] = np.array([_number(value) for value in values])
        bad = doc_ids[~np.isfinite(metrics[metric])]
        if bad.size:
            raise ResultsError(
                f"{metric} of {task}, filter {name}, is not a finite number on {bad.size} items.",
                [f"doc_id {', '.join(str(i) for i in bad[:5])}", source],
                "find out why the model or the metric gave no number there.",
            )

    def column(key: str) -> NDArray[np.str_]:
        return np.array([row[key] for row in rows])

    return FilteredSamples(
        task=task,
        filter=name,
        doc_ids=doc_ids,
        items=np.array([_item(row) for row in rows], dtype=np.int64),
        doc_hashes=column("doc_hash"),
        prompt_hashes=column("prompt_hash"),
        target_hashes=column("target_hash"),
        metrics=metrics,
    )


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON's whole numbers have no bound
        return float("inf")


def _item(row: Mapping[str, Any]) -> int:
    doc = row.get("doc")
    if isinstance(doc, dict) and LABEL in doc and _REQUIRED["doc_id"](doc.get(ORIGIN)):
        return int(doc[ORIGIN])
    return int(row["doc_id"])


def _task_name(file: Path) -> str:
    match = _SAMPLES.fullmatch(file.name)
    return match["task"] if match else file.name.split(".")[0]


def _slim(row: Mapping[str, Any]) -> dict[str, Any]:
    """What pairing needs of a row; its texts are long, and a run's rows are held together."""
    named = row.get("metrics")
    metrics = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    kept = {name: row[name] for name in (*_REQUIRED, *metrics) if name in row}
    numbers = {k: v for k, v in kept.items() if k in _REQUIRED or isinstance(v, int | float)}
    doc = row.get("doc")
    origin = {k: doc[k] for k in (LABEL, ORIGIN) if k in doc} if isinstance(doc, dict) else None
    return {**numbers, "doc": origin}


def _results_beside(file: Path) -> Recorded:
    """The results JSON of the same run; empty where there is none."""
    match = _SAMPLES.fullmatch(file.name)
    date = match["date"] if match else None
    pattern = f"*_{date}.json*" if date else "results*.json*"
    found = [p for p in file.parent.glob(pattern) if re.search(r"\.json(\.gz)?$", p.name)]
    return read_as(found[0], Recorded) if len(found) == 1 else Recorded()


def _require_whole(task: str, rows: list[dict[str, Any]], results: Recorded, file: Path) -> None:
    """Check the rows against the hash over all of them that lm-eval put in the results."""
    recorded = (results.task_hashes or {}).get(task)
    if recorded is None:
        return
    joined = "".join(
        str(row.get(key)) for row in rows for key in ("doc_hash", "prompt_hash", "target_hash")
    )
    if hashlib.sha256(joined.encode("utf-8", "replace")).hexdigest() != recorded:
        raise ResultsError(
            f"The samples of {task} are not those its results were computed from.",
            [f"{len(rows)} rows in {file}", "their hash is not the one in the results file"],
            "evaluate again, or fetch the folder again: the file was cut, edited or mixed up.",
        )


def _groups(children: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    groups = {}
    for name in children:
        leaves: list[str] = []
        waiting, seen = list(reversed(children[name])), {name}
        while waiting:
            child = waiting.pop()
            if child not in seen:
                seen.add(child)
                below = children.get(child)
                waiting.extend(reversed(below or ()))
                leaves.extend(() if below else (child,))
        if leaves:
            groups[name] = tuple(leaves)
    return groups
