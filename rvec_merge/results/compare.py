"""Two lm-eval runs side by side, tested item by item: what ``rvec compare`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rvec_merge.results.pairing import By, Names, Pair, PairedRuns, Score, Selection, pair_runs
from rvec_merge.stats.power import detectable_effect
from rvec_merge.stats.significance import (
    ALPHA,
    RESAMPLES,
    Comparison,
    holm,
    paired,
    pool,
)
from rvec_merge.tasks.samples import Run

Kind = Literal["task", "group", "subtask"]


@dataclass(frozen=True)
class Row:
    """One line of the table: B − A on one task or group, by one filter and one metric.

    Attributes:
        task, other: its name in A and in B.
        comparison: the mean over items; for a group, pooled over its tasks.
        mean_of_tasks: for a group, every task with the same weight.
        p_adjusted: Holm over the family: tasks and groups are one, subtasks of groups another.
        detectable: the smallest effect found four times in five at alpha / size of the family.
    """

    kind: Kind
    task: str
    other: str
    filter: str
    metric: str
    comparison: Comparison
    mean_of_tasks: Comparison | None
    p_adjusted: float
    detectable: float | None


@dataclass(frozen=True)
class Report:
    """Everything that two runs say about each other."""

    a: str
    b: str
    by: By
    resamples: int
    seed: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def compare_runs(
    a: Run, b: Run, selection: Selection, *, resamples: int = RESAMPLES, seed: int = 0
) -> Report:
    """Compare run B with run A on the same items.

    Raises:
        ResultsError: tasks, filters, metrics, items, prompts or answers are not the same.
    """
    runs = pair_runs(a, b, selection)
    lines = list(_lines(runs, resamples, seed))
    headline = [line for line in lines if line.kind != "subtask"]
    below = [line for line in lines if line.kind == "subtask"]
    return Report(
        a=a.source,
        b=b.source,
        by=selection.by,
        resamples=resamples,
        seed=seed,
        rows=(*_rows(headline), *_rows(below)),
        notes=runs.notes,
    )


@dataclass(frozen=True)
class _Line:
    kind: Kind
    names: Names
    score: Score
    comparison: Comparison
    mean_of_tasks: Comparison | None = None


def _lines(runs: PairedRuns, resamples: int, seed: int) -> Iterator[_Line]:
    inside = {names for members in runs.groups.values() for names in members}
    for group, members in runs.groups.items():
        tables = [runs.scores[names] for names in members]
        for score in tables[0]:
            if all(score in table for table in tables):
                baseline, condition = _pooled(runs, members, score)
                yield _Line(
                    "group",
                    (group, group),
                    score,
                    paired(baseline, condition, resamples=resamples, seed=seed),
                    paired(baseline, condition, weighting="strata", resamples=resamples, seed=seed),
                )
    for names, table in runs.scores.items():
        for score, (baseline, condition) in table.items():
            compared = paired(baseline, condition, resamples=resamples, seed=seed)
            yield _Line("subtask" if names in inside else "task", names, score, compared)


def _pooled(runs: PairedRuns, members: Sequence[Names], score: Score) -> Pair:
    left, right = (
        pool({names[0]: runs.scores[names][score][side] for names in members}) for side in (0, 1)
    )
    return left, right


def _rows(family: Sequence[_Line]) -> tuple[Row, ...]:
    adjusted = holm({index: line.comparison.p for index, line in enumerate(family)})
    return tuple(
        Row(
            kind=line.kind,
            task=line.names[0],
            other=line.names[1],
            filter=line.score[0],
            metric=line.score[1],
            comparison=line.comparison,
            mean_of_tasks=line.mean_of_tasks,
            p_adjusted=adjusted[index],
            detectable=detectable_effect(line.comparison, alpha=ALPHA / len(family)),
        )
        for index, line in enumerate(family)
    )
