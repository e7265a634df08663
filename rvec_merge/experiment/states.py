"""What a recipe means by a state: which model a donor is, and whose scale counts."""

from typing import Any

from rvec_merge.errors import PlanError
from rvec_merge.recipe.config import RecipeConfig
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Reference

DONORS = ("sft", "grpo")


def donor_of(recipe: Recipe, role: str) -> Reference:
    """The recipe's donor of a role.

    Raises:
        PlanError: there is none, or there are several.
    """
    found: dict[Reference, str] = {
        getattr(pair, role): pair.name
        for pairs in recipe.pairs()
        for pair in pairs
        if pair.sft is not None
    }
    if len(found) != 1:
        raise PlanError(
            f"The recipe has {len(found)} {role} donors.",
            [recipe.source, *(f"pair {name!r}: {donor}" for donor, name in found.items())],
            "set donors: false in the plan; only the donors of one pair are evaluated.",
        )
    (donor,) = found
    return donor


def has_one_scale(config: RecipeConfig) -> bool:
    """Whether a recipe's scale is one number, whose place a state's scale takes; else a mask.

    A number is also what YAML reads as text (``5e-1``). Where a slice has a scale of its own, the
    recipe's is one value of several.
    """
    scales: list[Any] = [b["scale"] for _, b, _ in config.parameter_blocks() if "scale" in b]
    try:
        return len(list(map(float, scales))) == 1 and "scale" in (config.parameters or {})
    except (TypeError, ValueError):
        return False
