"""The heat map of an experiment's vector, where its donors are at hand."""

from rvec_merge.errors import RvecError
from rvec_merge.report.charts import HeatMap, heat_map
from rvec_merge.report.results import Results


def vector_map(results: Results, pair: str | None = None) -> HeatMap | str:
    """The vector by layer and module kind, or in words why it is not shown.

    Only what lies on this disk is read: a report downloads nothing.
    """
    from rvec_merge.checkpoint import Checkpoint
    from rvec_merge.preflight.models import local_folder
    from rvec_merge.recipe import parse_recipe
    from rvec_merge.vector.inputs import locate, open_recipe_vector
    from rvec_merge.vector.inspection import inspect_vector

    try:
        recipe = parse_recipe(results.recipe, source=results.plan.recipe)
        away = [str(r) for r in recipe.config.referenced_models() if local_folder(r) is None]
        if away:
            return f"Not shown: {', '.join(sorted(away))} is not a folder on this machine."
        target = Checkpoint.open(locate(str(recipe.config.base_model)))
        return heat_map(inspect_vector(open_recipe_vector(recipe, pair), target=target))
    except RvecError as error:
        return f"Not shown: {error.headline} {'; '.join(error.facts)}"
