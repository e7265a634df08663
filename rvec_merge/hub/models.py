"""Bring a model from the Hub into its cache: weights, tokenizer, templates, at one commit."""

from pathlib import Path

from rvec_merge.checkpoint.weight_files import INDEX, PICKLED, SINGLE
from rvec_merge.hub.fetch import fetch_files
from rvec_merge.hub.layout import CARD, KINDS
from rvec_merge.hub.limits import check_headers
from rvec_merge.hub.references import HubReference
from rvec_merge.hub.remote import small_files, weight_files
from rvec_merge.hub.snapshot import Snapshot, cached_file, is_offline, open_snapshot

_ADAPTER = ("adapter_model.safetensors",)
_WEIGHTS = (SINGLE, INDEX, KINDS["vector"].mark, *PICKLED)


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
        from rvec_merge.vector.format import read_head

        return sorted({record.file for record in read_head(folder).tensors.values()})
    files = list(weight_files(snapshot, folder)) or [n for n in _ADAPTER if n in snapshot.files]
    # Downloading a pickle is harmless; whoever opens it asks for --allow-pickle.
    return files or [name for name in snapshot.files if name.endswith(".bin") and "/" not in name]


def _cached_folder(reference: HubReference) -> Path | None:
    """The cache's folder of a commit, if it holds weights; the reader checks their headers."""
    found = next((p for n in _WEIGHTS if (p := cached_file(reference, n)) is not None), None)
    return None if found is None else found.parent
