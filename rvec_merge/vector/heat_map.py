"""What a heat map of a vector shows: layer × module kind, for the figure and the report's page."""

from collections.abc import Callable
from dataclasses import dataclass

from rvec_merge.vector.inspection import Inspection, Row
from rvec_merge.vector.module_names import Place

_FORWARD = ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class HeatPanel:
    """One measure over some module kinds.

    Attributes:
        kinds: in the order of the forward pass.
        values: ``values[kind][layer]``, None where nothing was measured.
        log: whether the colours are spread over orders of magnitude: norms are.
    """

    title: str
    kinds: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    log: bool


@dataclass(frozen=True)
class HeatMap:
    """The vector by layer and module kind.

    Matrices have panels of their own, and biases and norms theirs: a bias may have moved by a
    hundred times as much of itself as any matrix has, and would take all the colours.

    Attributes:
        label: the vector, with its norm and density.
        weight: whose weights the relative norms relate to: ``target``, ``sft`` or None.
        outside: one sentence per tensor outside the layers.
    """

    label: str
    weight: str | None
    layers: tuple[int, ...]
    panels: tuple[HeatPanel, ...]
    outside: tuple[str, ...]


@dataclass(frozen=True)
class _Measure:
    title: str
    value: Callable[[Row], float | None]
    log: bool


def heat_map(inspection: Inspection) -> HeatMap:
    """Relative norm and density, and the cosine if there is one, by layer and module kind."""
    placed = {row.place: row for row in inspection.by_place() if row.place is not None}
    layers = tuple(sorted({place.layer for place in placed if place.layer is not None}))
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    for place, row in placed.items():
        if place.layer is not None:
            kinds[row.matrix].add(place.kind)
    panels = tuple(
        _panel(measure, group, sorted(kinds[matrices], key=_reading_order), layers, placed)
        for measure in _measures(inspection)
        for matrices, group in ((True, "matrices"), (False, "biases and norms"))
        if kinds[matrices]
    )
    outside = []
    for place, row in placed.items():
        if place.layer is None:
            told = [(measure.title, measure.value(row)) for measure in _measures(inspection)]
            said = ", ".join(f"{title} {v:.3g}" for title, v in told if v is not None)
            outside.append(f"{place.kind}: {said}")
    return HeatMap(_label(inspection), inspection.weight, layers, panels, tuple(outside))


def _measures(inspection: Inspection) -> list[_Measure]:
    if inspection.weight is None:
        measures = [_Measure("norm", lambda row: row.measured.norm, log=True)]
    else:
        measures = [_Measure("relative norm", lambda row: row.relative_norm, log=True)]
    measures.append(_Measure("density", lambda row: row.measured.density, log=False))
    if len(inspection.labels) > 1:
        title = f"cosine with {inspection.labels[-1]}"
        measures.append(_Measure(title, lambda row: row.cosines[0][-1], log=False))
    return measures


def _panel(
    measure: _Measure,
    group: str,
    kinds: list[str],
    layers: tuple[int, ...],
    placed: dict[Place, Row],
) -> HeatPanel:
    def value(place: Place) -> float | None:
        return measure.value(placed[place]) if place in placed else None

    values = tuple(tuple(value(Place(layer, kind)) for layer in layers) for kind in kinds)
    return HeatPanel(f"{measure.title}, {group}", tuple(kinds), values, measure.log)


def _reading_order(kind: str) -> tuple[int, str]:
    known = [_FORWARD.index(word) for word in kind.split(".") if word in _FORWARD]
    return min(known, default=len(_FORWARD)), kind


def _label(inspection: Inspection) -> str:
    total = inspection.total
    facts = [f"norm {total.measured.norm:.3g}", f"density {total.measured.density:.3g}"]
    if total.relative_norm is not None:
        facts.insert(1, f"relative {total.relative_norm:.3g}")
    return f"{inspection.labels[0]}: {', '.join(facts)}"
