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
from rvec_merge.plan.inputs import adapter_folder
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Reference
from rvec_merge.vector.provenance import revision_of

_SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt", ".bin"}


def weights_fingerprint(recipe: Recipe, state: State, other: Recipe | None = None) -> str:
    """sha256 of what decides the weights of ``state``.

    The target's depends on the target alone, a donor's on the donors: a plan that changes the
    vector does not make them stale.

    Args:
        other: where the state adds another vector, the recipe that does.
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
        "checkpoints": {str(r): _fingerprint(r) for r in used},
        "target": _fingerprint(config.target),
    }
    if other is not None:
        depends["other"] = weights_fingerprint(other, State("vector", 1.0))
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
        revision = revision_of(_folders(reference)[-1])
        found.append(ModelInput(str(reference), revision, _fingerprint(reference)))
    return tuple(found)


def changed_inputs(recorded: Iterable[ModelInput]) -> list[str]:
    """The folders of this machine that no longer hold the checkpoint that was recorded of them."""
    changed = []
    for found in recorded:
        reference = Reference.read(found.reference)
        parts = [Path(part.path) for part in (reference.model, reference.lora) if part]
        if all(part.is_dir() for part in parts) and _fingerprint(reference) != found.sha256:
            changed.append(found.reference)
    return changed


def _folders(reference: Reference) -> list[Path]:
    """Where a model lies, and its adapter."""
    folder = folder_of(reference)
    return [folder] if reference.lora is None else [folder, adapter_folder(reference)]


def _fingerprint(reference: Reference) -> str:
    """``checkpoint_fingerprint``; of a model with an adapter, over both."""
    parts = [checkpoint_fingerprint(folder.resolve()) for folder in _folders(reference)]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


@lru_cache(maxsize=64)
def checkpoint_fingerprint(folder: Path) -> str:
    """sha256 over the names and contents of a checkpoint's weights, config and tokenizer."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in _SUFFIXES and p.is_file()):
        digest.update(f"{path.name}\0{file_sha256(path)}\0".encode())
    return digest.hexdigest()
