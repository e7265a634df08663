"""What the charts show, as data: the page and the figures draw the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from rvec_merge.experiment.conditions import TARGET, Cell, State
from rvec_merge.results import wording
from rvec_merge.results.read import Results
from rvec_merge.results.rows import differing_effective
from rvec_merge.results.summary import Row
from rvec_merge.stats.intervals import Z, wilson
from rvec_merge.stats.significance import ALPHA, Mean
from rvec_merge.vector.heat_map import HeatMap

Family = Literal["target", "vector", "control", "donor"]


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval, in the chart's unit."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ScalePoint:
    """One scale's result; ``effective`` is what rounding left of the scale, if that differs."""

    scale: float
    effective: float | None
    estimate: Estimate
    n: int


@dataclass(frozen=True)
class Reference:
    """A named height of the chart; ``at`` keeps names from overlapping.

    A condition without a scale is drawn as a line there, the controls' band has its own.
    """

    label: str
    family: Family
    estimate: Estimate
    at: float


@dataclass(frozen=True)
class ScaleChart:
    """Accuracy against scale, on one task.

    Attributes:
        curve: on the items that chose the scale; empty where nothing was chosen on this task.
        curve_items: which items those are.
        reported: the vector at the chosen scale, and subtracted, on the reported items.
        controls: from the lowest to the highest 95 % limit of all control draws, at each scale.
        lines: target and donors, on the reported items; and what names the controls' band.
        top: the end of the value axis.
    """

    task: str
    unit: str
    curve: tuple[ScalePoint, ...]
    curve_items: str
    reported: tuple[ScalePoint, ...]
    controls: tuple[ScalePoint, ...]
    lines: tuple[Reference, ...]
    top: float


@dataclass(frozen=True)
class ForestRow:
    """One condition's paired difference from its baseline."""

    label: str
    family: Family
    estimate: Estimate
    p: str
    significant: bool


@dataclass(frozen=True)
class ForestChart:
    """Every paired difference of a task, by baseline, as the table has them."""

    task: str
    unit: str
    rows: tuple[ForestRow, ...]

    def has(self, family: Family) -> bool:
        """Whether any row is of a family."""
        return any(row.family == family for row in self.rows)


@dataclass(frozen=True)
class RobustRow:
    """One model state on clean items, or under one perturbation."""

    items: str
    label: str
    family: Family
    estimate: Estimate
    n: int


@dataclass(frozen=True)
class RobustChart:
    """Clean against perturbed, for the target, the vector and a control."""

    task: str
    unit: str
    rows: tuple[RobustRow, ...]
    top: float


Chart = ScaleChart | ForestChart | RobustChart | HeatMap


def scale_chart(results: Results, task: str) -> ScaleChart | None:
    """Accuracy against scale, with donors, baseline and controls for reference.

    None where there is no curve and no control: the points alone say what the differences say.
    """
    binary = results.binary(task)
    clean = {r.cell.state: r for r in results.rows(task) if r.cell == Cell(task, r.cell.state)}
    target = clean[TARGET]
    planned = next(t for t in results.plan.tasks if t.task == task)
    chosen_on = planned.validation if results.plan.selection.by == "validation" else task
    curve = tuple(
        ScalePoint(
            c.scale,
            differing_effective(c.scale, c.effective_scale),
            _level(c.level, binary),
            c.level.n,
        )
        for c in sorted(results.summary.candidates, key=lambda c: c.scale)
        if c.task == chosen_on
    )
    reported = tuple(_point(r, binary) for s, r in clean.items() if s.kind == "vector")
    controls = _controls(clean.values(), target, binary)
    if not (curve or controls):
        return None
    donors = [clean[State(kind)] for kind in ("sft", "grpo") if State(kind) in clean]
    shown = [target, *donors]
    ends = [p.estimate.high for p in (*curve, *reported, *controls)]
    top = _top([*ends, *(_level(r.level, binary).high for r in shown)], binary)
    named = [(r.cell.state.label, _family(r.cell.state), _level(r.level, binary)) for r in shown]
    if controls:
        named.append(("controls", "control", max(controls, key=lambda c: c.scale).estimate))
    places = _apart([level.value for *_, level in named], 0.06 * top)
    lines = tuple(Reference(*it, at) for it, at in zip(named, places, strict=True))
    items = _items(results, chosen_on or task)
    return ScaleChart(task, _unit(binary), curve, items, reported, controls, lines, top)


def forest_chart(results: Results, task: str) -> ForestChart:
    """Every condition's difference from the target on the same items."""
    binary = results.binary(task)
    factor = 100 if binary else 1
    rows = []
    order = list(dict.fromkeys(row.cell.baseline for row in results.rows(task)))
    for row in sorted(results.rows(task), key=lambda row: order.index(row.cell.baseline)):
        if row.comparison is None or row.p_adjusted is None:
            continue
        tested = row.comparison
        ends = (factor * tested.difference, factor * tested.low, factor * tested.high)
        rows.append(
            ForestRow(
                row.cell.condition,
                _family(row.cell.state),
                Estimate(*ends),
                wording.p_phrase(row.p_adjusted),
                row.p_adjusted < ALPHA,
            )
        )
    unit = "difference from the target, points" if binary else "difference from the target"
    return ForestChart(task, unit, tuple(rows))


def robust_chart(results: Results, task: str) -> RobustChart | None:
    """Clean against perturbed items; None where the plan perturbs nothing on this task."""
    binary = results.binary(task)
    perturbed = [r for r in results.rows(task) if r.cell.perturbation]
    if not perturbed:
        return None
    states = {r.cell.state for r in perturbed}
    clean = [r for r in results.rows(task) if r.cell == Cell(task, r.cell.state)]
    rows = tuple(
        RobustRow(
            row.cell.perturbation or "clean",
            row.cell.state.label,
            _family(row.cell.state),
            _level(row.level, binary),
            row.level.n,
        )
        for row in [*(r for r in clean if r.cell.state in states), *perturbed]
    )
    return RobustChart(task, _unit(binary), rows, _top([r.estimate.high for r in rows], binary))


def _controls(rows: Iterable[Row], target: Row, binary: bool) -> tuple[ScalePoint, ...]:
    by_scale: dict[float, list[Row]] = {}
    for row in rows:
        if _family(row.cell.state) == "control":
            by_scale.setdefault(row.cell.state.scale, []).append(row)
    if not by_scale:
        return ()
    by_scale[0.0] = [target]  # where every control begins
    points = []
    for scale, drawn in sorted(by_scale.items()):
        levels = [_level(row.level, binary) for row in drawn]
        middle = sum(level.value for level in levels) / len(levels)
        band = Estimate(middle, min(e.low for e in levels), max(e.high for e in levels))
        points.append(ScalePoint(scale, None, band, len(drawn)))
    return tuple(points)


def _point(row: Row, binary: bool) -> ScalePoint:
    scale = row.cell.state.scale
    effective = differing_effective(scale, row.effective_scale)
    return ScalePoint(scale, effective, _level(row.level, binary), row.level.n)


def _level(mean: Mean, binary: bool) -> Estimate:
    if binary:
        low, high = wilson(mean.mean, mean.n)
        return Estimate(100 * mean.mean, 100 * low, 100 * high)
    low, high = mean.mean - Z * mean.standard_error, mean.mean + Z * mean.standard_error
    return Estimate(mean.mean, low, high)


def _family(state: State) -> Family:
    families: dict[str, Family] = {"target": "target", "sft": "donor", "grpo": "donor"}
    return families.get(state.kind, "vector" if state.kind == "vector" else "control")


def _items(results: Results, task: str) -> str:
    by = results.plan.selection.by
    return {
        "validation": f"items of {task}",
        "share": "the items set aside to choose the scale",
        "same_items": "the reported items",
    }[by]


def _unit(binary: bool) -> str:
    return "accuracy, %" if binary else "mean of the metric"


def _top(ends: Iterable[float], binary: bool) -> float:
    highest = max(ends)
    if not binary:
        return highest + 0.05 * abs(highest)
    return min(100.0, 10.0 * -(-highest // 10))


def _apart(values: list[float], gap: float) -> list[float]:
    """The values, moved as little as leaves ``gap`` between neighbours, lowest first."""
    places = list(values)
    order = sorted(range(len(values)), key=values.__getitem__)
    for below, above in pairwise(order):
        places[above] = max(places[above], places[below] + gap)
    return places
