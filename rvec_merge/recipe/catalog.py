"""Recipes by whatever names them here: a file, a bundled recipe's name, YAML text, a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.resources import (
    FAMILY,
    BundledFile,
    Shelf,
    bundled_paths,
    first_comment,
    folder,
)
from rvec_merge.recipe.yaml import load_yaml

if TYPE_CHECKING:
    from rvec_merge.recipe.read import Recipe

RecipeSource: TypeAlias = "str | Path | Mapping[str, Any] | Recipe"
_MEMBERS = ("target", "grpo", "sft", "other-init/grpo", "other-init/sft")


@dataclass(frozen=True)
class BundledRecipe(BundledFile):
    """One recipe under ``recipes/``.

    ``scale`` is as mergekit reads it: a number, a gradient (list of numbers) or filters (list of
    ``{filter, value}``).
    """

    target: str
    scale: Any

    @property
    def text(self) -> str:
        """The recipe, naming the embedded family where it lies."""
        text = self.path.read_text(encoding="utf-8")
        if Path(FAMILY).is_dir():  # in a checkout its own paths hold
            return text
        from rvec_merge.recipe.read import parse_recipe

        members = {f"{FAMILY}/{name}": str(folder(FAMILY) / name) for name in _MEMBERS}
        return parse_recipe(text, source=str(self.path)).renamed(members).text


@cache
def shelf() -> Shelf[BundledRecipe]:
    """Every bundled recipe."""
    return Shelf("recipe", tuple(_read(*found) for found in bundled_paths(folder("recipes"))))


def bundled() -> tuple[BundledRecipe, ...]:
    """Every bundled recipe, by name, those in subfolders last."""
    return shelf().files


def find(name: str) -> BundledRecipe:
    """The bundled recipe of that name, with or without ``.yaml``.

    Raises:
        RecipeError: there is none.
    """
    return shelf().find(name, RecipeError)


def read_source(source: RecipeSource) -> "Recipe":
    """Read a recipe; a file goes before a bundled recipe of the same name.

    Raises:
        RecipeError: there is none, or it is wrong; see ``read_recipe``.
    """
    from rvec_merge.recipe.read import Recipe, parse_recipe, read_recipe

    if isinstance(source, Recipe):
        return source
    if isinstance(source, Mapping):
        return parse_recipe(yaml.safe_dump(dict(source), sort_keys=False), source="recipe")
    if isinstance(source, str) and "\n" in source:
        return parse_recipe(source, source="recipe")
    if Path(source).exists():
        return read_recipe(source)
    if (found := shelf().get(source)) is not None:
        return parse_recipe(found.text, source=found.name)
    raise RecipeError(
        "The recipe cannot be read.",
        [f"{source}", "no such file, and no bundled recipe of that name", *shelf().near(source)],
        "correct the path, or name one of `rvec recipes`.",
    )


def names_recipe(name: str | Path) -> bool:
    """Whether a file, YAML text or a bundled recipe is named; folders are vectors."""
    text = str(name)
    if "\n" in text or Path(name).is_file():
        return True
    return not Path(name).exists() and shelf().get(name) is not None


def _read(name: str, path: Path, text: str) -> BundledRecipe:
    document = load_yaml(text, source=str(path))
    target, scale = document["base_model"], document["parameters"]["scale"]
    return BundledRecipe(name, path, first_comment(text), target, scale)
