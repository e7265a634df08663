"""Choosing the scale, on items that are not reported."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from rvec_merge.experiment.conditions import Cell, sweep_cells
from rvec_merge.experiment.store import CellResult

if TYPE_CHECKING:
    from rvec_merge.experiment.planned import Experiment

_END = 0.02  # of the floor or the ceiling


def choose(experiment: "Experiment", results: Mapping[Cell, CellResult]) -> float:
    """The scale with the highest mean over the choosing tasks; the smallest of equals.

    Tasks on which every candidate is at the floor or at the ceiling choose nothing.
    """
    scales = experiment.plan.scales
    if len(scales) == 1:
        return scales[0]
    stuck = stuck_tasks(experiment, results)
    scores: dict[float, list[float]] = {scale: [] for scale in scales}
    for cell in sweep_cells(experiment.plan):
        if cell.state.kind == "vector" and cell.task not in stuck:
            scores[cell.state.scale].append(_score(experiment, cell, results))
    means = {scale: np.mean(found or [0.0]) for scale, found in scores.items()}
    best = max(means.values())
    return min(scale for scale, score in means.items() if np.isclose(score, best, atol=1e-12))


def stuck_tasks(experiment: "Experiment", results: Mapping[Cell, CellResult]) -> dict[str, str]:
    """The choosing tasks that show nothing: every candidate is at the floor, or ceiling."""
    found = {}
    cells = sweep_cells(experiment.plan)
    for task in dict.fromkeys(c.task for c in cells):
        scores = [_score(experiment, c, results) for c in cells if c.task == task]
        if (end := at_an_end(scores)) is not None:
            found[task] = end
    return found


def at_an_end(scores: Iterable[float]) -> str | None:
    """``floor`` or ``ceiling``, where all scores of a metric from 0 to 1 are there; else None."""
    scores = list(scores)
    if all(0 <= score < _END for score in scores):
        return "floor"
    return "ceiling" if all(1 - _END < score <= 1 for score in scores) else None


def _score(experiment: "Experiment", cell: Cell, results: Mapping[Cell, CellResult]) -> float:
    return float(experiment.outcomes(cell, results[cell], part="choose").values.mean())
