"""The recipes that come with the package, and what each says it does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.resources import folder
from rvec_merge.recipe.yaml import load_yaml


@dataclass(frozen=True)
class BundledRecipe:
    """One recipe under ``recipes/``: its name (``controls/random``), file, and summary.

    ``what`` is the first line of the header comment; ``scale`` is as mergekit reads it: a
    number, a gradient (list of numbers) or filters (list of ``{filter, value}``).
    """

    name: str
    path: Path
    what: str
    target: str
    scale: Any


def bundled() -> tuple[BundledRecipe, ...]:
    """Every bundled recipe, by name, those in subfolders last."""
    root = folder("recipes")
    paths = sorted(root.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return tuple(_read(root, path) for path in paths)


def find(name: str) -> BundledRecipe:
    """The bundled recipe of that name, with or without ``.yaml``.

    Raises:
        RecipeError: there is none.
    """
    recipes = bundled()
    for recipe in recipes:
        if recipe.name == name.removesuffix(".yaml"):
            return recipe
    raise RecipeError(
        f"No bundled recipe is called {name!r}.",
        [f"recipes: {', '.join(recipe.name for recipe in recipes)}"],
        "pick one of these; `rvec recipes` says what each does.",
    )


def _read(root: Path, path: Path) -> BundledRecipe:
    text = path.read_text(encoding="utf-8")
    document = load_yaml(text, source=str(path))
    return BundledRecipe(
        name=path.relative_to(root).with_suffix("").as_posix(),
        path=path,
        what=text.partition("\n")[0].removeprefix("#").strip(),
        target=document["base_model"],
        scale=document["parameters"]["scale"],
    )
