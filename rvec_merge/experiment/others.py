"""Other donor pairs' vectors as controls: put on the same target."""

from pathlib import Path

from rvec_merge.errors import PlanError
from rvec_merge.experiment.plan import Plan
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.hub.recipes import is_recipe, open_recipe
from rvec_merge.recipe.config import METHOD
from rvec_merge.recipe.read import Recipe, recipe_of


def other_recipes(plan: Plan, recipe: Recipe) -> dict[str, Recipe]:
    """The recipes that put the plan's other vectors on the experiment's target, by name.

    Raises:
        PlanError: one is neither a recipe nor a compact vector, or has no vector of ours.
    """
    return {name: _on(recipe, name, source) for name, source in plan.controls.named.items()}


def _on(recipe: Recipe, name: str, source: str) -> Recipe:
    data = dict(recipe.data)
    if (Path(source) / VECTOR_FILE).is_file():
        data["models"] = [{"model": source, "parameters": {"role": "vector"}}]
        data["parameters"] = {"scale": 1.0}
        return recipe_of(data, text="", source=f"the vector {name}")
    # As a checkout's paths name them, too: plans say recipes/controls/….
    named = next((n for n in (source, source.removeprefix("recipes/")) if is_recipe(n)), None)
    if named is None:
        raise PlanError(
            "A control of the plan is neither a recipe nor a compact vector.",
            [f"controls.vectors: {source}"],
            f"name a recipe, or a folder with a {VECTOR_FILE}.",
        )
    other = open_recipe(named)
    if other.config.merge_method != METHOD or other.config.models is None:
        raise PlanError(
            "A control of the plan has no donors of its own.",
            [f"controls.vectors: {source}", f"merge_method: {other.config.merge_method}"],
            f"name a recipe with merge_method: {METHOD} and models.",
        )
    data["models"] = other.data["models"]
    data["parameters"] = dict(other.data.get("parameters") or {})
    return recipe_of(data, text="", source=f"{source}, on the experiment's target")
