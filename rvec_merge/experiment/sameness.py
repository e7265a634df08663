"""Whether two recipes are of one experiment: the scale is the plan's business."""

from typing import Any

from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.yaml import load_yaml


def differing(found: Any, recipe: Recipe) -> list[str]:
    """The top-level keys of two recipes that disagree, the scale aside."""
    there, here = (_without_scale(r) for r in (found, load_yaml(recipe.text, source="recipe")))
    return [
        f"recipe.{key}: {there.get(key)} there, {here.get(key)} here"
        for key in {**there, **here}
        if there.get(key) != here.get(key)
    ]


def _without_scale(recipe: Any) -> dict[str, Any]:
    if not isinstance(recipe, dict) or not isinstance(recipe.get("parameters"), dict):
        return {"recipe": recipe}
    parameters = dict(recipe["parameters"])
    if isinstance(parameters.get("scale"), int | float):
        del parameters["scale"]
    return {**recipe, "parameters": parameters}
