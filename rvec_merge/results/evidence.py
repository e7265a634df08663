"""Whether a results folder is about this model: a card must not carry another one's numbers."""

import json
import re
from math import isclose
from pathlib import Path
from typing import Any

from rvec_merge.errors import CheckpointError, ResultsError
from rvec_merge.experiment.fingerprint import changed_inputs
from rvec_merge.experiment.states import has_one_scale
from rvec_merge.files.marks import RECIPE_FILE
from rvec_merge.recipe.config import RecipeConfig
from rvec_merge.recipe.read import Recipe, parse_recipe, read_recipe
from rvec_merge.results.read import Results, read_results

# What does not decide which vector is added to which target, or how much of it.
_BESIDE = {"dtype", "out_dtype", "tokenizer_source", "tokenizer", "chat_template"}


def evaluated_recipe(results: Results, model: Path) -> Recipe:
    """The recipe of both, once it is sure that they are the same.

    Raises:
        CheckpointError: the model's folder does not say what it was merged from.
        ResultsError: the experiment evaluated another merge, another scale, or an input that has
            changed since.
    """
    if not (model / RECIPE_FILE).is_file():
        raise CheckpointError(
            "The model's folder does not say what it was merged from.",
            [f"{model}", f"no {RECIPE_FILE} in it"],
            "name the folder that `rvec merge` or `mergekit-yaml` wrote.",
        )
    merged = read_recipe(model / RECIPE_FILE)
    evaluated = parse_recipe(results.recipe, source=results.plan.recipe)
    facts = _differences(evaluated.config, merged.config)
    scale, reported = _scale(merged.config), results.summary.scale
    # A scale that differs by layer is what the experiment multiplied with its own.
    own = float(scale) if has_one_scale(merged.config) else 1.0
    if not isclose(own, reported):
        facts.append(f"scale: {own:g} in the model, {reported:g} in the results")
    if facts:
        raise ResultsError(
            "The experiment evaluated another merge than this model.",
            [f"{model}", *facts],
            f"merge the recipe again with scale: {reported:g}, or name this model's results.",
        )
    if changed := changed_inputs(results.summary.inputs):
        raise ResultsError(
            "An input is no longer the one that the experiment evaluated.",
            changed,
            "run the experiment and the merge again, or put back what was evaluated.",
        )
    return evaluated


def check_evidence(folder: Path, pinned: Recipe) -> None:
    """Refuse results that are not of this recipe's models, at its commits where both have some.

    Raises:
        ResultsError: they are of another recipe, unfinished or damaged.
    """
    results = read_results(folder)
    evaluated = parse_recipe(results.recipe, source=results.plan.recipe)
    facts = _differences(evaluated.config, pinned.config, commits=False)
    used = {str(reference) for reference in pinned.config.referenced_models()}
    for found in results.summary.inputs:
        name = found.reference.partition("@")[0]
        if not facts and found.revision and f"{name}@{found.revision}" not in used:
            facts.append(f"{name}: {found.revision} was evaluated")
    if facts:
        raise ResultsError(
            "The results are of another recipe.",
            [f"{folder}", *facts],
            "push the recipe that the experiment evaluated, or run one with this recipe.",
        )


def _differences(
    evaluated: RecipeConfig, merged: RecipeConfig, *, commits: bool = True
) -> list[str]:
    ours, theirs = _content(evaluated), _content(merged)
    if not commits:
        ours, theirs = (
            json.loads(re.sub(r'@[^"@]+(?=")', "", json.dumps(content)))
            for content in (ours, theirs)
        )
    what = "model" if commits else "recipe"
    return [
        f"{key}: {theirs.get(key)} in the {what}, {ours.get(key)} in the results"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]


def _content(config: RecipeConfig) -> dict[str, Any]:
    content: dict[str, Any] = config.model_dump(mode="json", exclude_none=True, exclude=_BESIDE)
    if has_one_scale(config):
        content["parameters"].pop("scale")
    return content


def _scale(config: RecipeConfig) -> Any:
    return (config.parameters or {}).get("scale")
