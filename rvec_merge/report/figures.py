"""The report's charts as files for papers: PNG and SVG, drawn by matplotlib."""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rvec_merge.errors import OutputError, why
from rvec_merge.files.names import write_below
from rvec_merge.report.charts import (
    Chart,
    Estimate,
    ForestChart,
    RobustChart,
    ScaleChart,
    forest_chart,
    robust_chart,
    scale_chart,
)
from rvec_merge.results.read import Results
from rvec_merge.vector.heat_map import HeatMap
from rvec_merge.vector.plot import draw as draw_heat_map

# The page's light colours. They differ in lightness too, and so do the marks in shape.
INK = {"target": "#555555", "vector": "#0064a8", "control": "#b35a00", "donor": "#8a3b76"}
_MARK = {"target": "x", "vector": "o", "control": "^", "donor": "s"}
_WIDTH = 7.0  # inches: a page's text width
_DPI = 200
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e0e0e0",
    "axes.grid": True,
    "svg.hashsalt": "rvec",  # equal results are equal files
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a name may hold $
}


def write_figures(results: Results, vector: HeatMap | str, folder: Path) -> list[Path]:
    """Write every chart as ``.png`` and ``.svg``.

    Raises:
        OutputError: the folder cannot be written to.
    """
    charts: dict[str, Chart | None] = {}
    for task in [t.task for t in results.plan.tasks]:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", task)
        charts[f"scale-{name}"] = scale_chart(results, task)
        charts[f"forest-{name}"] = forest_chart(results, task)
        charts[f"robustness-{name}"] = robust_chart(results, task)
    charts["vector"] = vector if isinstance(vector, HeatMap) else None
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, chart in charts.items():
            if chart is not None:
                paths = [folder / f"{name}{suffix}" for suffix in (".png", ".svg")]
                draw(chart, paths)
                written += paths
    except OSError as error:
        raise OutputError(
            "The figures cannot be written.", [f"{folder}", why(error)], "name another folder."
        ) from None
    return written


def draw(chart: Chart, paths: Sequence[Path]) -> None:
    """Draw one chart into files, whose suffixes say the format."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.0), dpi=_DPI, layout="constrained")
        drawers: dict[type, Callable[[Any, Any], None]] = {
            ScaleChart: _scale,
            ForestChart: _forest,
            RobustChart: _robust,
            HeatMap: draw_heat_map,
        }
        drawers[type(chart)](chart, figure)
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            drawn = io.BytesIO()
            figure.savefig(drawn, format=path.suffix[1:], metadata=metadata)
            write_below(path.parent, path.name, drawn.getvalue())


def _scale(chart: ScaleChart, figure: Any) -> None:
    figure.set_size_inches(_WIDTH, 3.8)
    axis = figure.subplots()
    for points, ink, stroke, mark in (
        (chart.controls, INK["control"], ":", ""),
        (chart.curve, INK["vector"], "-", "o"),
    ):
        if not points:
            continue
        x = [p.scale for p in points]
        low, high = _ends([p.estimate for p in points])
        axis.fill_between(x, low, high, color=ink, alpha=0.2, linewidth=0)
        label = f"vector, {chart.curve_items}" if mark else "controls, all draws"
        y = [p.estimate.value for p in points]
        axis.plot(x, y, stroke, marker=mark, markersize=4, color=ink, label=label)
    for reference in chart.lines:
        ink = INK[reference.family]
        if reference.family != "control":
            axis.axhline(reference.estimate.value, color=ink, linestyle="--", linewidth=1)
        axis.annotate(
            reference.label,
            (1.01, reference.at),
            xycoords=("axes fraction", "data"),
            va="center",
            color=ink,
            annotation_clip=False,
        )
    _with_bars(
        axis,
        [p.scale for p in chart.reported],
        [p.estimate for p in chart.reported],
        marker="D",
        color=INK["vector"],
        markerfacecolor="white",
        label="vector, reported items",
    )
    scales = sorted({p.scale for p in (*chart.curve, *chart.reported, *chart.controls)})
    axis.set_xticks(scales, [f"{s:g}".replace("-", "−") for s in scales])
    axis.set(xlabel="scale", ylabel=chart.unit, ylim=(min(0, axis.get_ylim()[0]), chart.top))
    differs = [p for p in chart.curve if p.effective is not None]
    if differs:
        second = axis.secondary_xaxis("top")
        second.set_xticks([p.scale for p in differs], [f"{p.effective:.2f}" for p in differs])
        second.set_xlabel("effective scale")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    axis.set_title(chart.task, loc="left")


def _forest(chart: ForestChart, figure: Any) -> None:
    figure.set_size_inches(_WIDTH, 0.21 * len(chart.rows) + 0.9)
    axis = figure.subplots()
    axis.axvline(0, color="black", linewidth=0.8)
    for y, row in enumerate(chart.rows):
        ink = INK[row.family]
        _with_bars(
            axis,
            [row.estimate],
            [y],
            marker=_MARK[row.family],
            color=ink,
            markerfacecolor=ink if row.significant else "white",
        )
    axis.set_yticks(range(len(chart.rows)), [row.label for row in chart.rows])
    axis.set(xlabel=chart.unit, ylim=(len(chart.rows) - 0.4, -0.6))
    axis.grid(visible=False, axis="y")
    axis.set_title(f"{chart.task} (filled: significant after adjustment)", loc="left")


def _robust(chart: RobustChart, figure: Any) -> None:
    kinds = list(dict.fromkeys(row.items for row in chart.rows))
    states = list(dict.fromkeys((row.label, row.family) for row in chart.rows))
    figure.set_size_inches(_WIDTH, 0.45 * len(kinds) + 1.2)
    axis = figure.subplots()
    for index, (label, family) in enumerate(states):
        rows = [row for row in chart.rows if row.label == label]
        shift = 0.2 * (index - (len(states) - 1) / 2)
        _with_bars(
            axis,
            [row.estimate for row in rows],
            [kinds.index(row.items) + shift for row in rows],
            marker=_MARK[family],
            color=INK[family],
            label=label,
        )
    axis.set_yticks(range(len(kinds)), kinds)
    axis.set(xlabel=chart.unit, ylim=(len(kinds) - 0.5, -0.5))
    axis.set_xlim(min(0, axis.get_xlim()[0]), chart.top)
    axis.grid(visible=False, axis="y")
    figure.legend(loc="outside lower center", ncols=len(states), frameon=False)
    axis.set_title(chart.task, loc="left")


def _with_bars(axis: Any, x: Sequence[Any], y: Sequence[Any], **style: Any) -> None:
    """Marks with intervals along whichever axis carries the estimates."""
    along = x if x and isinstance(x[0], Estimate) else y
    low, high = _ends(along)
    middle = [e.value for e in along]
    bars = np.maximum(0, [np.subtract(middle, low), np.subtract(high, middle)])
    shared = {"linestyle": "none", "markersize": 5, **style}
    if along is x:
        axis.errorbar(middle, y, xerr=bars, **shared)
    else:
        axis.errorbar(x, middle, yerr=bars, **shared)


def _ends(estimates: Sequence[Estimate]) -> tuple[list[float], list[float]]:
    return [e.low for e in estimates], [e.high for e in estimates]
