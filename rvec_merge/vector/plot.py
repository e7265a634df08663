"""One figure of a vector: heat maps of layer × module kind."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from rvec_merge.errors import EnvironmentProblem, OutputError, why
from rvec_merge.shown import shown
from rvec_merge.vector.heat_map import HeatMap, HeatPanel, heat_map
from rvec_merge.vector.inspection import Inspection

_COLOURS = "Blues"  # light to dark, so that greyscale keeps the order
_WIDTH = 12.0  # inches; 1200 px at the default resolution
_DPI = 100
_SUFFIXES = (".png", ".svg", ".pdf")


def plot(inspection: Inspection, path: Path) -> None:
    """Draw relative norm and density, and the cosine if there is one, by layer and module kind.

    Raises:
        OutputError: the suffix is none of .png, .svg and .pdf, or the file cannot be written.
        EnvironmentProblem: matplotlib is not installed.
    """
    if path.suffix not in _SUFFIXES:
        raise OutputError(
            "The figure's format is unknown.", [f"{path}"], f"end it in {', '.join(_SUFFIXES)}."
        )
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise EnvironmentProblem(
            "matplotlib is not installed.", ["--plot draws with it"], "pip install matplotlib."
        ) from None
    with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold $
        figure = Figure(figsize=(_WIDTH, 1), dpi=_DPI, layout="constrained")
        draw(heat_map(inspection), figure)
        try:
            figure.savefig(path)
        except OSError as error:
            raise OutputError(
                "The figure cannot be written.", [f"{path}", why(error)], "correct the path."
            ) from None


def draw(chart: HeatMap, figure: Any) -> None:
    """Draw the panels below one another, and below them what stands outside the layers.

    The figure keeps its width and font size; its height follows from what there is to show.
    """
    heights = [len(panel.kinds) + 3 for panel in chart.panels]
    width, line = figure.get_size_inches()[0], _points() / 72 * 1.6  # inches; a row's height
    title = textwrap.wrap(shown(chart.label), int(width * 72 / _points() / 0.62))
    figure.set_size_inches(width, line * (sum(heights) + len(chart.outside) + len(title) + 1))
    figure.suptitle("\n".join(title), x=0.01, ha="left", fontsize="medium")
    axes = figure.subplots(
        len(chart.panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for axis, panel in zip(axes, chart.panels, strict=True):
        _panel(panel, chart.layers, axis, figure)
    axes[-1].set_xlabel("layer")
    lines = list(chart.outside)
    if any(v is None for p in chart.panels for values in p.values for v in values):
        lines.append("hatched: nothing to measure, or the delta is zero")
    figure.supxlabel(shown("\n".join(lines)), x=0.01, ha="left", fontsize="medium")


def _panel(panel: HeatPanel, layers: tuple[int, ...], axis: Any, figure: Any) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    grid = np.array(panel.values, dtype=float)  # None becomes NaN
    if panel.log:
        grid[grid <= 0] = np.nan
    seen = grid[np.isfinite(grid)]
    # One value alone has no range to spread colours over.
    norm = LogNorm() if panel.log and seen.size and seen.min() < seen.max() else None
    image = axis.imshow(grid, aspect="auto", cmap=_COLOURS, norm=norm, interpolation="nearest")
    axis.set_title(shown(panel.title), loc="left", fontsize="medium")
    axis.set_yticks(range(len(panel.kinds)), map(shown, panel.kinds))
    step = -(-len(layers) // 32)
    axis.set_xticks(range(0, len(layers), step), layers[::step])
    for y, x in np.argwhere(np.isnan(grid)):
        corner = (x - 0.5, y - 0.5)
        cell = Rectangle(corner, 1, 1, facecolor="none", edgecolor="0.6", hatch="////", linewidth=0)
        axis.add_patch(cell)
    axis.spines[:].set_visible(False)
    # Thin white lines keep neighbouring cells apart in print.
    axis.set_xticks(np.arange(len(layers)) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(panel.kinds)) - 0.5, minor=True)
    axis.grid(visible=False, which="major")
    axis.grid(which="minor", color="white", linewidth=1)
    axis.tick_params(which="both", length=0)
    bar = figure.colorbar(image, ax=axis, pad=0.01, aspect=12)
    bar.outline.set_visible(False)
    if norm is not None:
        ticks = np.geomspace(seen.min(), seen.max(), 3)
        bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks], minor=False)
        bar.minorticks_off()


def _points() -> float:
    import matplotlib

    return float(matplotlib.rcParams["font.size"])
