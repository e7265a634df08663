"""Recipes that name the Hub, or lie on it: read, pinned to commits, their inputs fetched."""

import re
from pathlib import Path

from rvec_merge.errors import RecipeError
from rvec_merge.hub.content import Content, fetch_content
from rvec_merge.hub.errors import HubError, Unreachable
from rvec_merge.hub.fetch import Damaged, damaged
from rvec_merge.hub.models import fetch_model
from rvec_merge.hub.references import is_hub, named_repo, parse_reference
from rvec_merge.hub.remote import hub_reference
from rvec_merge.hub.snapshot import is_offline, pinned
from rvec_merge.recipe.catalog import RecipeSource, names_recipe, read_source
from rvec_merge.recipe.read import Recipe, parse_recipe


def open_recipe(source: RecipeSource) -> Recipe:
    """Read a recipe by whatever names it, ``hf://REPO_ID[@revision]`` too; pin what it names.

    Repos in it are pinned to their current commits, in the text too, so that what is checked is
    what is merged, and provenance says which it was.

    Raises:
        RecipeError: see ``read_recipe``.
        HubError: a repo does not exist, or cannot be reached.
    """
    if not is_hub(source):
        return pin(read_source(source))
    return pin(recipe_of(fetch_content(parse_reference(str(source)), "recipe", mark_only=True)))


def is_recipe(source: str | Path) -> bool:
    """Whether a command's argument names a recipe rather than a vector.

    Raises:
        HubError: a repo cannot be reached.
    """
    if not is_hub(source):
        return names_recipe(source)
    return fetch_content(parse_reference(str(source)), mark_only=True).kind.name == "recipe"


def recipe_of(content: Content) -> Recipe:
    """The recipe of a repo, which others wrote: it may name repos on the Hub alone.

    Raises:
        RecipeError: it is no recipe, or names a path.
    """
    return foreign((content.folder / content.kind.mark).read_text("utf-8"), content.where)


def foreign(text: str, source: str) -> Recipe:
    """A recipe's text that others wrote; see ``recipe_of``."""
    recipe = parse_recipe(text, source=source)
    for name in recipe.named_models():
        # What looks like a repo but is a folder here must not be taken for the repo.
        if named_repo(name) is None:
            raise RecipeError(
                "A recipe from the Hub names something on this machine.",
                [recipe.source, name],
                "do not use it; run from another folder if a folder here has a repo's name.",
            )
    return recipe


def pin(recipe: Recipe, *, strict: bool = False) -> Recipe:
    """The recipe with every repo at its current commit, comments and all.

    Args:
        strict: refuse what cannot be pinned: a folder; offline, a repo that was never fetched.

    Raises:
        HubError: a repo does not exist; or see ``strict``.
        RecipeError: the text cannot be rewritten.
    """
    commits: dict[str, str] = {}
    for name in recipe.named_models():
        hub = named_repo(name)
        if hub is None:
            if strict:
                raise HubError(
                    "The recipe names a folder of this machine.",
                    [recipe.source, name],
                    "push its models first, or the vector (rvec push vector), and name the repos.",
                )
            continue
        try:
            commits[name] = str(pinned(hub))
        except Unreachable:
            if strict or not is_offline():
                raise
    changed = {name: commit for name, commit in commits.items() if name != commit}
    if not changed:
        return recipe
    result = recipe.renamed(changed)
    left = sorted(set(result.named_models()) & changed.keys())
    if left:
        raise RecipeError(
            "The recipe's models cannot be pinned to commits.",
            [recipe.source, *left],
            "write each as plain text, org/name or org/name@revision, without YAML anchors.",
        )
    return result


def fetch_models(recipe: Recipe) -> bool:
    """Bring a recipe's repos into the Hub's cache; whether there were any.

    Raises:
        Damaged: downloads differ from what their repos list; all of them are named.
        HubError: a download fails.
    """
    references = sorted(recipe.config.referenced_models(), key=str)
    wanted = [hub for r in references if (hub := hub_reference(r)) is not None]
    adapters = [named_repo(str(reference.lora)) for reference in references if reference.lora]
    wanted += [hub for hub in adapters if hub is not None]
    facts: list[str] = []
    for hub in wanted:
        try:
            fetch_model(hub)
        except Damaged as error:
            facts += error.facts
    if facts:
        raise damaged(facts)
    return bool(wanted)


def localized(recipe: Recipe) -> Recipe:
    """The recipe with the cache's folders in its repos' place, so that mergekit asks no Hub.

    Raises:
        HubError: see ``fetch_models``.
    """
    folders: dict[str, str] = {}
    for name in recipe.named_models():
        if (hub := named_repo(name)) is not None:
            folders[name] = str(fetch_model(hub))
    if not folders or re.search(r"[^\w./-]", "".join(folders.values())):
        return recipe  # mergekit or YAML would take such a path apart
    return recipe.renamed(folders)
