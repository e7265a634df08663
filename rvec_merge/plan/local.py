"""What a mergekit reference leads to on this machine: a folder, or the Hub's cache."""

import re
from collections.abc import Hashable
from pathlib import Path

from rvec_merge.files.marks import ADAPTER_FILE, VECTOR_FILE
from rvec_merge.recipe.reference import Place, Reference

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def is_path(name: str) -> bool:
    """Whether a model's spelling, without revision or adapter, is a path rather than a Hub id."""
    return _HUB_ID.fullmatch(name) is None or Path(name).exists()


def cached_snapshot(reference: Reference) -> Path | None:
    """The folder of a Hub reference in the Hub's cache; None if it was never fetched."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(
            reference.model.path, "config.json", revision=reference.model.revision
        )
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def adapter_here(adapter: Place) -> Path | None:
    """The folder of an adapter, on this machine or in the Hub's cache; None if it is not whole."""
    if is_path(adapter.path):
        return Path(adapter.path) if Path(adapter.path).is_dir() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(adapter.path, ADAPTER_FILE, revision=adapter.revision)
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder is not None and any(folder.glob("adapter_model.*")) else None


def local_folder(reference: Hashable) -> Path | None:
    """The folder behind a mergekit ``Reference`` (or a path); None for a Hub id or a LoRA."""
    if getattr(reference, "lora", None) is not None:
        return None
    model = getattr(reference, "model", None)
    path = Path(str(getattr(model, "path", reference)))
    return path if path.is_dir() else None


def is_compact(reference: Reference) -> bool:
    """Whether a reference leads to a compact vector that is here."""
    folder = local_folder(reference) or cached_snapshot(reference)
    return folder is not None and (folder / VECTOR_FILE).is_file()
