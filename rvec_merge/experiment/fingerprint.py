"""What a condition's weights depend on, as a hash: the recipe's content and the checkpoints'."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.states import has_one_scale
from rvec_merge.files.hashes import file_sha256
from rvec_merge.hub.models import folder_of
from rvec_merge.plan.local import local_folder
from rvec_merge.recipe.read import Recipe
from rvec_merge.vector.provenance import revision_of

_SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt"}


def weights_fingerprint(recipe: Recipe, state: State) -> str:
    """sha256 of what decides the weights of ``state``.

    The target's depends on the target alone, a donor's on the donors: a plan that changes the
    vector does not make them stale.
    """
    config = recipe.config
    used = sorted(config.referenced_models(), key=str)
    if state.kind == "target":
        used = [config.target]
    content = config.model_dump(mode="json", exclude_none=True)
    if has_one_scale(config):
        content["parameters"].pop("scale")  # the experiment's own takes its place
    depends = {
        "state": [state.kind, state.scale, state.seed],
        "recipe": None if state.kind == "target" else content,
        "dtype": config.dtype,
        "checkpoints": {str(r): checkpoint_fingerprint(folder_of(r)) for r in used},
        "target": checkpoint_fingerprint(folder_of(config.target)),
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class ModelInput:
    """A checkpoint that a recipe reads.

    Attributes:
        reference: as the recipe names it.
        revision: the Hub's commit; None for a folder that is not of the Hub's cache.
        sha256: over its weights, config and tokenizer.
    """

    reference: str
    revision: str | None
    sha256: str


def model_inputs(recipe: Recipe) -> tuple[ModelInput, ...]:
    """Every checkpoint of a recipe, the target first."""
    target = recipe.config.base_model
    used = sorted(recipe.config.referenced_models(), key=lambda r: (r != target, str(r)))
    found = []
    for reference in used:
        folder = folder_of(reference)
        fingerprint = checkpoint_fingerprint(folder)
        found.append(ModelInput(str(reference), revision_of(folder), fingerprint))
    return tuple(found)


def changed_inputs(recorded: Iterable[ModelInput]) -> list[str]:
    """The folders of this machine that no longer hold the checkpoint that was recorded of them."""
    return [
        found.reference
        for found in recorded
        if (folder := local_folder(found.reference)) is not None
        and checkpoint_fingerprint(folder.resolve()) != found.sha256
    ]


@lru_cache(maxsize=64)
def checkpoint_fingerprint(folder: Path) -> str:
    """sha256 over the names and contents of a checkpoint's weights, config and tokenizer."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in _SUFFIXES and p.is_file()):
        digest.update(f"{path.name}\0{file_sha256(path)}\0".encode())
    return digest.hexdigest()
