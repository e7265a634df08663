"""Vectors for the commands: a path, or ``hf://REPO_ID[@revision]``; two donors, a recipe's pair."""

from collections.abc import Collection
from pathlib import Path

from rvec_merge.checkpoint.dequantized import dequantized
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.weight_files import refuse_second_set
from rvec_merge.checkpoint.weights import Weights
from rvec_merge.errors import CheckpointError, RecipeError
from rvec_merge.hub.content import fetch_content
from rvec_merge.hub.models import folder_of, locate
from rvec_merge.hub.references import is_hub, named_repo, parse_reference
from rvec_merge.hub.snapshot import pinned
from rvec_merge.plan.inputs import with_adapter
from rvec_merge.preflight.run import check_alike
from rvec_merge.recipe.pairs import Pair
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Reference, placed
from rvec_merge.vector import inputs
from rvec_merge.vector.inputs import Vector
from rvec_merge.vector.read import CompactVector


def open_vector(source: str) -> Vector:
    """A vector from its folder or Hub id, or from a vector repo, whose files are checked first.

    Raises:
        CheckpointError, HubError: it is none, or is damaged.
    """
    if not is_hub(source):
        return inputs.open_vector(locate(source), source)
    content = fetch_content(parse_reference(source), "vector")
    vector = checked_vector(content.folder, content.names, content.where)
    content.check_json()
    return inputs.PackedVector(content.where, vector)


def checked_vector(folder: Path, names: Collection[str], where: object) -> CompactVector:
    """A compact vector, once its weights were compared with their hashes.

    Args:
        names: all that the folder or the repo holds.
        where: what errors call it.

    Raises:
        RvecError: it is damaged, or not alone.
    """
    vector = CompactVector.open(folder)
    vector.verify()
    refuse_second_set(where, names, vector.files)
    return vector


def open_donors(grpo: str, sft: str, *, dequantize: bool = False) -> Vector:
    """Two donors as a vector: folders as they are, repos at their commits and in the cache.

    Args:
        dequantize: FP8 weights are read by their scales.

    Raises:
        HubError: a repo cannot be had.
        RvecError: see ``vector.inputs.open_donors``.
    """
    plus, minus = (Reference.read(placed(_pinned(name))) for name in (grpo, sft))
    return _pair(plus, minus, dequantize)


def open_recipe_vector(
    recipe: Recipe, pair: str | None = None, *, dequantize: bool = False
) -> Vector:
    """The vector of a recipe: its pair's donors, without scale, weight, masks or control.

    Raises:
        RecipeError: the recipe has several pairs and ``pair`` names none of them.
        RvecError: see ``vector.inputs``.
    """
    chosen = _choose_pair(recipe, pair)
    grpo = Reference.read(chosen.grpo)
    if chosen.sft is None:
        return inputs.open_vector(folder_of(grpo), f"{grpo}")
    return _pair(grpo, Reference.read(chosen.sft), dequantize)


def donors_of(recipe: Recipe, pair: str | None) -> tuple[str, str]:
    """The names of a recipe's grpo and sft donor.

    Raises:
        RecipeError: it has several pairs and ``pair`` names none, or the pair is a vector.
    """
    chosen = _choose_pair(recipe, pair)
    if chosen.sft is None:
        raise RecipeError(
            "The recipe names a vector, not two donors.",
            [recipe.source, f"vector: {chosen.grpo}"],
            "pull it: rvec pull.",
        )
    return str(chosen.grpo), str(chosen.sft)


def _pair(grpo: Reference, sft: Reference, dequantize: bool) -> Vector:
    donors = [_opened(donor, dequantize) for donor in (grpo, sft)]
    pair = inputs.pair_of(donors[0], donors[1], (f"{grpo}", f"{sft}"))
    check_alike(pair.grpo, pair.sft)
    return pair


def _opened(donor: Reference, dequantize: bool) -> Weights:
    """A donor's checkpoint, with the adapter on it that its name says: ``BASE+ADAPTER``."""
    checkpoint = Checkpoint.open(folder_of(donor))
    weights = dequantized(checkpoint)
    if donor.lora is None:
        return weights if dequantize else checkpoint
    if dequantize or weights is checkpoint:
        return with_adapter(donor, weights)
    raise CheckpointError(
        "An adapter's base is in FP8; its stored numbers are not its weights.",
        [f"{donor}"],
        "add --dequantize, which reads it as float32 by its scales.",
    )


def _pinned(model: str) -> str:
    reference = parse_reference(model) if is_hub(model) else named_repo(model)
    return model if reference is None else str(pinned(reference))


def _choose_pair(recipe: Recipe, name: str | None) -> Pair:
    """A recipe's pair of that name; its only one where no name is given.

    Raises:
        RecipeError: there is none, or there are several.
    """
    if not recipe.is_reasoning_vector:
        raise RecipeError(
            "The recipe describes no reasoning vector.",
            [recipe.source, f"merge_method: {recipe.config.merge_method}"],
            "use a recipe with merge_method: reasoning_vector, or name the donors.",
        )
    found = {(p.grpo, p.sft): p for slices in recipe.pairs() for p in slices}
    pairs = [p for p in found.values() if name in (None, p.name)]
    if len(pairs) == 1:
        return pairs[0]
    raise RecipeError(
        "The recipe does not say which vector is meant.",
        [f"pair {p.name!r}: {p.grpo}" for p in found.values()],
        "name one of its pairs: --pair NAME.",
    )
