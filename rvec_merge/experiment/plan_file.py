"""Plans by whatever names them: a file, a bundled plan's name, YAML text, a mapping, the Hub."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from rvec_merge.errors import PlanError, why
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.settings import Changes
from rvec_merge.experiment.shapes import Head
from rvec_merge.files.explained import explained
from rvec_merge.files.reading import read_as
from rvec_merge.hub.content import fetch_content
from rvec_merge.hub.recipes import foreign
from rvec_merge.hub.references import is_hub, parse_reference
from rvec_merge.recipe import catalog
from rvec_merge.recipe.catalog import RecipeSource
from rvec_merge.recipe.resources import BundledFile, Shelf, bundled_paths, first_comment, folder
from rvec_merge.recipe.yaml import load_yaml

PlanSource: TypeAlias = str | Path | Mapping[str, Any]


@cache
def shelf() -> Shelf[BundledFile]:
    """The bundled plans."""
    found = bundled_paths(folder("eval") / "experiments")
    return Shelf("plan", tuple(BundledFile(n, p, first_comment(text)) for n, p, text in found))


def read_plan(source: PlanSource, changes: Changes | None = None) -> tuple[Plan, RecipeSource]:
    """Read a plan; returns it with what names its recipe.

    ``hf://REPO_ID[@revision]`` is the plan of shared results, with their recipe.

    Raises:
        PlanError: there is none or it is no YAML, a key is unknown, a value is out of range, or
            the recipe does not exist.
        HubError: the repo cannot be had, or holds no results.
    """
    text, beside, where = _read(source)
    if is_hub(source):
        content = fetch_content(parse_reference(str(source)), "results", mark_only=True)
        path = content.folder / content.kind.mark
        head = read_as(path, Head)
        data = json.loads(path.read_text("utf-8"))["plan"]
        return _valid(data, content.where, changes), foreign(head.recipe, content.where)
    data = dict(source) if isinstance(source, Mapping) else None
    if data is None:
        data = load_yaml(text, source=where, error=PlanError)
    plan = _valid(data, where, changes)
    if is_hub(plan.recipe):
        return plan, plan.recipe
    for path in (Path(plan.recipe), beside / plan.recipe):
        if path.is_file():
            return plan, path
    # As a checkout's paths name them, too: plans say recipes/tiny.yaml.
    name = plan.recipe.removeprefix("recipes/")
    if catalog.shelf().get(name) is not None:
        return plan, name.removesuffix(".yaml")
    raise PlanError(
        "The plan names a recipe that does not exist.",
        [
            f"recipe: {plan.recipe}",
            f"looked at {Path(plan.recipe)}, {beside / plan.recipe}, and the bundled recipes",
            *catalog.shelf().near(name),
        ],
        "correct recipe; `rvec recipes` lists the bundled ones.",
    )


def _read(source: PlanSource) -> tuple[str, Path, str]:
    """A plan's text, the folder that its paths may be relative to, and what errors call it."""
    if isinstance(source, Mapping) or is_hub(source):
        return "", Path(), "plan"
    if isinstance(source, str) and "\n" in source:
        return source, Path(), "plan"
    path = Path(source)
    if not path.exists() and (found := shelf().get(source)) is not None:
        path = found.path
    try:
        return path.read_text(encoding="utf-8"), path.parent, str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(
            "The plan cannot be read.",
            [f"{path}", why(error), *shelf().near(source)],
            "correct the path, or name one of `rvec plans`.",
        ) from None


def _valid(data: Any, where: str, changes: Changes | None) -> Plan:
    try:
        return Plan.model_validate(data if changes is None else changes.applied(data))
    except ValidationError as error:
        facts = [where, *explained(error)]
        raise PlanError("The plan is not valid.", facts, "correct these keys.") from None
