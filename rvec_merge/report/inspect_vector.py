"""The heat map of an experiment's vector, where its donors are at hand."""

from rvec_merge.errors import RvecError
from rvec_merge.experiment.fingerprint import changed_inputs
from rvec_merge.results.read import Results
from rvec_merge.vector.heat_map import HeatMap, heat_map
from rvec_merge.vector.inspection import inspect_vector


def vector_map(results: Results, pair: str | None = None) -> HeatMap | str:
    """The vector by layer and module kind, or in words why it is not shown.

    Only what lies on this disk is read: a report downloads nothing.
    """
    from rvec_merge.checkpoint.header import Checkpoint
    from rvec_merge.hub.models import locate
    from rvec_merge.hub.vectors import open_recipe_vector
    from rvec_merge.plan.inputs import local_folder
    from rvec_merge.recipe.read import parse_recipe

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
