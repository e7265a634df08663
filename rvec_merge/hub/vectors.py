"""Vectors for the commands: a path, or ``hf://REPO_ID[@revision]``; donors, fetched or streamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rvec_merge.errors import RecipeError
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.references import SCHEME, is_hub, named_repo, parse_reference
from rvec_merge.hub.snapshot import pinned
from rvec_merge.recipe.read import Recipe
from rvec_merge.vector.inputs import choose_pair

if TYPE_CHECKING:
    from rvec_merge.vector.inputs import Vector


def open_vector(source: str) -> "Vector":
    """A vector from its folder, or from a vector repo, whose files are checked first.

    Raises:
        CheckpointError, HubError: it is none, or is damaged.
    """
    from rvec_merge.vector import inputs

    if not is_hub(source):
        return inputs.open_vector(source)
    from rvec_merge.sharing.pull import fetch_content
    from rvec_merge.vector.read import CompactVector

    content = fetch_content(parse_reference(source), "vector")
    return inputs.PackedVector(f"{SCHEME}{content.reference}", CompactVector.open(content.folder))


def fetched(model: str) -> str:
    """A model's name for the library: a folder as it is, a repo at its commit and in the cache.

    Raises:
        HubError: the repo cannot be had.
    """
    reference = parse_reference(model) if is_hub(model) else named_repo(model)
    if reference is None:
        return model
    from rvec_merge.hub.models import fetch_model

    found = pinned(reference)
    fetch_model(found)
    return str(found)


def donors_of(recipe: Recipe, pair: str | None) -> tuple[str, str]:
    """The names of a recipe's grpo and sft donor.

    Raises:
        RecipeError: it has several pairs and ``pair`` names none, or the pair is a vector.
    """
    chosen = choose_pair(recipe, pair)
    if chosen.sft is None:
        raise RecipeError(
            "The recipe names a vector, not two donors.",
            [recipe.source, f"vector: {chosen.grpo}"],
            "pull it: rvec pull.",
        )
    return str(chosen.grpo), str(chosen.sft)


@contextmanager
def streamed(grpo: str, sft: str, out: Path) -> Iterator["Vector"]:
    """Two donors on the Hub, shard by shard; see ``stream.streamed_donors``.

    Raises:
        HubError: a donor is a folder, or cannot be had.
    """
    for name in (grpo, sft):
        if not is_hub(name) and named_repo(name) is None:
            raise HubError("Only donors on the Hub can be streamed.", [name], "leave --stream out.")
    from rvec_merge.hub.stream import streamed_donors

    with streamed_donors(grpo, sft, out) as pair:
        yield pair
