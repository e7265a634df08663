"""Bring a model from the Hub into its cache: weights, tokenizer, templates, at one commit."""

from collections.abc import Hashable
from pathlib import Path

from rvec_merge.checkpoint.card import CARD
from rvec_merge.errors import CheckpointError
from rvec_merge.hub.fetch import fetch_files
from rvec_merge.hub.layout import KINDS
from rvec_merge.hub.limits import check_headers
from rvec_merge.hub.references import SCHEME, HubReference, try_reference
from rvec_merge.hub.remote import small_files, weight_files
from rvec_merge.hub.snapshot import Snapshot, cached_file, is_offline, open_snapshot
from rvec_merge.plan.inputs import Input, read_input
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Reference
from rvec_merge.vector.format import read_head

_ADAPTER = ("adapter_model.safetensors",)


def fetch_model(reference: HubReference) -> Path:
    """The local folder of a model or vector on the Hub; downloads what its cache lacks.

    Offline, and where the Hub does not answer but the commit is known, the cache must do.

    Raises:
        HubError: it cannot be had, or is not what its headers and listing say.
    """
    snapshot = open_snapshot(reference)
    small = small_files(snapshot)
    if is_offline() and cached_file(snapshot.reference, CARD) is None:
        # A merge can do without it; the other tools that fill a cache leave it out.
        small = [name for name in small if name != CARD]
    folder = fetch_files(snapshot, small)
    names = _weights(snapshot, folder)
    fetch_files(snapshot, names)
    check_headers([folder / n for n in names if n.endswith(".safetensors")], snapshot.reference)
    return folder


def _weights(snapshot: Snapshot, folder: Path) -> list[str]:
    if KINDS["vector"].mark in snapshot.files:
        return sorted({record.file for record in read_head(folder).tensors.values()})
    files = list(weight_files(snapshot, folder)) or [n for n in _ADAPTER if n in snapshot.files]
    # Downloading a pickle is harmless; whoever opens it asks for --allow-pickle.
    return files or [name for name in snapshot.files if name.endswith(".bin") and "/" not in name]


def locate(name: Hashable) -> Path:
    """The local folder of a path or Hub id; fetches what is not in the Hub's cache.

    Raises:
        CheckpointError: it is no such folder, or it names an adapter.
        HubError: there is no such repository, or it cannot be had.
    """
    path = Path(str(name))
    if path.is_dir():
        return path
    hub = None if path.exists() else try_reference(str(name).removeprefix(SCHEME))
    if hub is None:
        raise CheckpointError(
            "A model cannot be found.",
            [f"{name}"],
            "correct the path or the Hub id; a relative path starts at the current folder.",
        )
    return fetch_model(hub)


def folder_of(reference: Reference) -> Path:
    """``locate`` of what a recipe names; of a model with an adapter, the model without it."""
    path = Path(reference.model.path)
    return path if path.is_dir() else locate(reference.model)


def open_inputs(recipe: Recipe, *, allow_pickle: bool = False) -> dict[Reference, Input]:
    """Every model of a recipe with its headers, those of the Hub fetched; see ``plan.inputs``.

    Raises:
        CheckpointError, HubError: one cannot be found or read.
    """
    # mergekit's own list is a set's, in another order each time.
    references = sorted(recipe.config.referenced_models(), key=str)
    return {
        reference: read_input(reference, folder_of(reference), allow_pickle=allow_pickle)
        for reference in references
    }
