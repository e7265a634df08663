"""One figure of a vector: heat maps of layer × module kind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rvec_merge.errors import EnvironmentProblem, OutputError, why
from rvec_merge.shown import shown
from rvec_merge.vector.inspection import Inspection, Row

_COLOURS = "Blues"  # light to dark, so that greyscale keeps the order
_WIDTH = 12.0  # inches; 1200 px at the default resolution
_DPI = 100
_FORWARD = ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_SUFFIXES = (".png", ".svg", ".pdf")


def plot(inspection: Inspection, path: Path) -> None:
    """Draw relative norm and density, and the cosine if there is one, by layer and module kind.

    What stands outside the layers is written below the maps.

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
        figure = _figure(inspection, Figure)
        try:
            figure.savefig(path)
        except OSError as error:
            raise OutputError(
                "The figure cannot be written.", [f"{path}", why(error)], "correct the path."
            ) from None


def _figure(inspection: Inspection, kind: Any) -> Any:
    kinds, layers = _axes(inspection)
    panels = _panels(inspection)
    height = len(panels) * (0.29 * len(kinds) + 0.95) + 0.75
    figure = kind(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    figure.suptitle(shown(_title(inspection)), x=0.01, ha="left", fontsize=13)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        grid = _grid(inspection, kinds, layers, panel.value)
        _draw(figure, axis, shown(panel.title), grid, kinds, layers)
    axes[-1].set_xlabel("layer", fontsize=11)
    figure.supxlabel(shown(_outside(inspection, panels)), x=0.01, ha="left", fontsize=10)
    return figure


@dataclass(frozen=True)
class _Panel:
    title: str
    short: str
    value: Callable[[Row], float | None]


def _panels(inspection: Inspection) -> list[_Panel]:
    if inspection.weight is None:
        panels = [_Panel("norm", "norm", lambda row: row.measured.norm)]
    else:
        title = f"relative norm (to the {inspection.weight}'s weight)"
        panels = [_Panel(title, "relative norm", lambda row: row.relative_norm)]
    panels.append(_Panel("density", "density", lambda row: row.measured.density))
    if len(inspection.labels) > 1:
        title = f"cosine with {inspection.labels[-1]}"
        panels.append(_Panel(title, "cosine", lambda row: row.cosines[0][-1]))
    return panels


def _axes(inspection: Inspection) -> tuple[list[str], list[int]]:
    """The module kinds in the order of the forward pass, norms and biases last; the layers."""
    places = [row.place for row in inspection.rows if row.place and row.place.layer is not None]
    kinds = sorted({p.kind for p in places}, key=_reading_order)
    return kinds, sorted({p.layer for p in places if p.layer is not None})


def _reading_order(kind: str) -> tuple[bool, int, str]:
    words = kind.split(".")
    known = [_FORWARD.index(word) for word in words if word in _FORWARD]
    return kind.endswith(".bias") or "norm" in words[-1], min(known, default=len(_FORWARD)), kind


def _grid(
    inspection: Inspection,
    kinds: list[str],
    layers: list[int],
    value: Callable[[Row], float | None],
) -> Any:
    grid = np.full((len(kinds), len(layers)), np.nan)
    for row in inspection.by_place():
        assert row.place is not None
        if row.place.layer is not None:
            found = value(row)
            at = kinds.index(row.place.kind), layers.index(row.place.layer)
            grid[at] = np.nan if found is None else found
    return grid


def _draw(
    figure: Any, axis: Any, title: str, grid: Any, kinds: list[str], layers: list[int]
) -> None:
    from matplotlib.patches import Rectangle

    image = axis.imshow(grid, aspect="auto", cmap=_COLOURS, interpolation="nearest")
    axis.set_title(title, loc="left", fontsize=11)
    axis.set_yticks(range(len(kinds)), map(shown, kinds), fontsize=10)
    step = -(-len(layers) // 32)
    axis.set_xticks(range(0, len(layers), step), layers[::step], fontsize=10)
    axis.tick_params(length=0, labelbottom=True)
    for y, x in np.argwhere(np.isnan(grid)):
        corner = (x - 0.5, y - 0.5)
        cell = Rectangle(corner, 1, 1, facecolor="none", edgecolor="0.6", hatch="////", linewidth=0)
        axis.add_patch(cell)
    axis.spines[:].set_visible(False)
    # Thin white lines keep neighbouring cells apart in print.
    axis.set_xticks(np.arange(len(layers)) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(kinds)) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1)
    axis.tick_params(which="minor", length=0)
    bar = figure.colorbar(image, ax=axis, pad=0.01, aspect=12)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=10)


def _title(inspection: Inspection) -> str:
    total = inspection.total
    facts = [f"norm {total.measured.norm:.3g}", f"density {total.measured.density:.3g}"]
    if total.relative_norm is not None:
        facts.insert(1, f"relative {total.relative_norm:.3g}")
    return f"{inspection.labels[0]}    {', '.join(facts)}"


def _outside(inspection: Inspection, panels: list[_Panel]) -> str:
    """A line per tensor outside the layers, with the panels' values."""
    lines = []
    for row in inspection.by_place():
        if row.place is None or row.place.layer is not None:
            continue
        values = [(panel.short, panel.value(row)) for panel in panels]
        said = ", ".join(f"{short} {v:.3g}" for short, v in values if v is not None)
        lines.append(f"{row.place.kind}: {said}")
    if len(inspection.labels) > 1:
        lines.append("hatched: the delta, or what it is compared with, is zero")
    return "\n".join(lines)
