"""The heat map of an experiment's vector, where its donors are at hand."""

from collections.abc import Callable

from rvec_merge.errors import RvecError
from rvec_merge.evaluation.fingerprint import changed_inputs
from rvec_merge.report.charts import HeatMap, HeatPanel
from rvec_merge.report.results import Results
from rvec_merge.vector.inspection import Inspection, Row, inspect_vector
from rvec_merge.vector.places import Place


def vector_map(results: Results, pair: str | None = None) -> HeatMap | str:
    """The vector by layer and module kind, or in words why it is not shown.

    Only what lies on this disk is read: a report downloads nothing.
    """
    from rvec_merge.checkpoint import Checkpoint
    from rvec_merge.preflight.models import local_folder
    from rvec_merge.recipe import parse_recipe
    from rvec_merge.vector.inputs import locate, open_recipe_vector

    try:
        recipe = parse_recipe(results.recipe, source=results.plan.recipe)
        away = [str(r) for r in recipe.config.referenced_models() if local_folder(r) is None]
        if away:
            return f"Not shown: {', '.join(sorted(away))} is not a folder on this machine."
        if changed := changed_inputs(results.summary.inputs):
            return f"Not shown: {', '.join(changed)} is no longer what was evaluated."
        target = Checkpoint.open(locate(str(recipe.config.base_model)))
        return heat_map(inspect_vector(open_recipe_vector(recipe, pair), target=target))
    except RvecError as error:
        return f"Not shown: {error.headline} {'; '.join(error.facts)}"


def heat_map(found: Inspection) -> HeatMap:
    """What ``rvec inspect`` draws: relative norm and density by layer and module kind."""
    placed = {row.place: row for row in found.by_place() if row.place is not None}
    inside = {place for place in placed if place.layer is not None}
    named = {place.kind for place in inside}
    kinds = tuple(row.label for row in found.by_kind() if row.label in named)
    layers = tuple(sorted({place.layer for place in inside if place.layer is not None}))
    measures: dict[str, Callable[[Row], float | None]] = {
        "relative norm": lambda row: row.relative_norm,
        "norm": lambda row: row.measured.norm,
        "density": lambda row: row.measured.density,
    }
    del measures["relative norm" if found.weight is None else "norm"]
    panels = tuple(
        HeatPanel(
            title,
            tuple(
                tuple(
                    measure(placed[Place(layer, kind)]) if Place(layer, kind) in placed else None
                    for layer in layers
                )
                for kind in kinds
            ),
        )
        for title, measure in measures.items()
    )
    outside = []
    for place, row in placed.items():
        if place.layer is None:
            told = [(title, measure(row)) for title, measure in measures.items()]
            said = ", ".join(f"{title} {v:.3g}" for title, v in told if v is not None)
            outside.append(f"{place.kind}: {said}")
    return HeatMap(found.labels[0], found.weight, kinds, layers, panels, tuple(outside))
