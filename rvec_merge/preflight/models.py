"""A recipe's inputs, seen without reading weights: folder, config, tensors."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from rvec_merge.checkpoint.model_config import config_of, read_json
from rvec_merge.checkpoint.weight_files import first_files, is_index
from rvec_merge.errors import CheckpointError, Finding, Notice, RvecError
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.plan.inputs import Input, adapter_here, cached_snapshot, is_path, read_input
from rvec_merge.recipe.config import METHOD, RecipeConfig, declared_donors
from rvec_merge.recipe.reference import Reference

# Sees an input; None where it cannot without a download.
Resolver: TypeAlias = Callable[[Reference, str, bool], Input | None]


def see_local(
    reference: Reference, label: str, allow_pickle: bool = False, *, mapped: bool = False
) -> Input | None:
    """See an input that lies in a folder, or in the Hub's cache.

    Args:
        mapped: see ``checkpoint.header.Checkpoint``.

    Raises:
        CheckpointError: the folder does not exist or holds no readable checkpoint.
    """
    path, adapter = Path(reference.model.path), reference.lora
    folder = path if path.is_dir() else cached_snapshot(reference)
    if folder is None and is_path(reference.model.path):
        raise CheckpointError(
            "A model does not exist.",
            [],
            "correct the path; one that begins with . or / is never a Hub id.",
        )
    if folder is None:
        return None
    adapted = adapter is None or is_path(adapter.path) or adapter_here(adapter) is not None
    # Some cached snapshots hold the config alone.
    if adapted and (folder == path or _has_weights(folder)):
        found = read_input(reference, folder, label, allow_pickle=allow_pickle, mapped=mapped)
    else:
        found = Input(reference, folder, None, label)
    _ = found.config  # or an error, of this input
    return found


def labels(config: RecipeConfig) -> dict[Reference, str]:
    """What to call each input, the target first: its role, and its pair if there are several."""
    if config.merge_method != METHOD:
        target = {config.base_model: "target"} if config.base_model else {}
        rest = [m for m in config.referenced_models() if m not in target]
        named = {m: f"model {n}" for n, m in enumerate(sorted(rest, key=str), 1)}
        return {**target, **named}
    found: dict[Any, str] = {config.base_model: "target"}
    groups = [donors for _, donors in declared_donors(config)]
    several = len({(d.pair, d.role == "vector") for donors in groups for d in donors}) > 1
    for donor in (d for donors in groups for d in donors):
        role = donor.role or "donor"
        found.setdefault(donor.id, f"{role} of {donor.pair}" if several else role)
    for model in config.referenced_models():
        found.setdefault(model, "target")  # a slice's own base_model
    return found


def see_models(
    config: RecipeConfig, resolver: Resolver, allow_pickle: bool
) -> Iterator[Input | Finding]:
    """Every input of a recipe, or what keeps it from being seen."""
    unseen = []
    for reference, label in labels(config).items():
        try:
            model = resolver(reference, label, allow_pickle)
        except RvecError as error:
            facts = [f"{label}: {reference}", *error.facts]
            yield type(error)(error.headline, facts, error.fix)
            continue
        if model is None or model.weights is None:
            unseen.append(f"{label}: {reference}")
        if model is not None:
            yield model
    if unseen:
        yield Notice(
            "Some inputs are not here yet, and were not checked.",
            tuple(unseen),
            "They are checked before the merge, once they are fetched.",
        )


def _has_weights(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir() if path.is_file()}
    firsts = first_files(names, config_of(folder))
    if not firsts and VECTOR_FILE in names:
        return any(folder.glob("vector*.safetensors"))
    if not firsts or not is_index(firsts[0]):
        return bool(firsts)
    files = read_json(folder / firsts[0]).get("weight_map")
    if not isinstance(files, dict):
        return True  # `Checkpoint.open` says what is wrong with it
    return all(str(file) in names for file in files.values())
