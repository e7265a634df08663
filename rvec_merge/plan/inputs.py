"""The models a plan names, as far as they are here: folders, small files, headers, sources."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rvec_merge.arithmetic.dtypes import DType
from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.adapted import check_base
from rvec_merge.checkpoint.adapted import on_base as adapted
from rvec_merge.checkpoint.adapter import Adapter
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.model_config import config_of
from rvec_merge.checkpoint.sources import Cast
from rvec_merge.checkpoint.tensor import TensorInfo
from rvec_merge.checkpoint.weights import Weights, are_here, layers
from rvec_merge.errors import CheckpointError
from rvec_merge.files.marks import ADAPTER_FILE, VECTOR_FILE
from rvec_merge.recipe.reference import Place, Reference
from rvec_merge.vector.inputs import open_folder

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@dataclass(frozen=True)
class Input:
    """One model of a recipe, whatever its weights are made of.

    Attributes:
        reference: as the recipe names it.
        folder: where its small files (config, tokenizer, card) lie.
        weights: its tensors, and where their values come from; None where no header is at hand.
            Of a model on the Hub, the headers alone may be here.
        label: what errors call it: its role, and its pair where there are several.
    """

    reference: Reference
    folder: Path
    weights: Weights | None = field(repr=False)
    label: str = "input"

    @property
    def name(self) -> str:
        """Role and reference."""
        return f"{self.label} {self.reference}"

    @property
    def is_vector(self) -> bool:
        """It is a difference already, not a model."""
        return self.label.startswith("vector")

    @cached_property
    def compact(self) -> bool:
        """It is a compact vector file, whose deltas are exact."""
        return (self.folder / VECTOR_FILE).is_file()

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor by name, from the headers; none where they are not at hand."""
        return {} if self.weights is None else self.weights.tensors

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """``config.json``; empty if there is none."""
        return config_of(self.folder) if self.weights is None else self.weights.config

    @property
    def pickled(self) -> bool:
        """Whether only torch can read its weights."""
        return self.weights is not None and self.weights.pickled

    @property
    def first_files(self) -> tuple[str, ...]:
        """Which of its weight files loaders would open; see ``weight_files.first_files``."""
        stored = list(layers(self.weights))[-1] if self.weights is not None else None
        return stored.first_files if isinstance(stored, Checkpoint) else ()

    @cached_property
    def here(self) -> bool:
        """Whether its weight files are on this machine."""
        return self.weights is not None and are_here(self.weights)

    @property
    def weight_files(self) -> Sequence[Path]:
        """The files that its values come from."""
        return () if self.weights is None else self.weights.paths

    def source(self, name: str, dtype: DType | None = None) -> Source:
        """A tensor, for one thread to read; rounded to ``dtype`` as mergekit's ``dtype`` asks.

        A compact vector's deltas are never rounded: ``dtype`` is about checkpoints.
        """
        assert self.weights is not None
        source = self.weights.source(name)
        return source if self.compact or dtype in (None, source.dtype) else Cast(source, dtype)


def read_input(
    reference: Reference,
    folder: Path,
    label: str = "input",
    *,
    allow_pickle: bool = False,
    mapped: bool = False,
) -> Input:
    """Read the headers of a model that lies in ``folder``, and of the adapter that is put on it.

    Raises:
        CheckpointError: they cannot be read, or the adapter is another model's.
    """
    weights = open_folder(folder, allow_pickle=allow_pickle, mapped=mapped)
    if reference.lora is not None:
        weights = with_adapter(reference, weights)
    return Input(reference, folder, weights, label)


def with_adapter(reference: Reference, base: Weights) -> Weights:
    """The adapter of a reference on its base.

    Raises:
        CheckpointError: it is not there, cannot be read, or is another model's.
    """
    adapter = Adapter.open(adapter_folder(reference))
    check_base(adapter, reference.model.path, base)
    return adapted(base, adapter)


def adapter_folder(reference: Reference) -> Path:
    """Where the adapter of a reference lies: a folder, or the Hub's cache.

    Raises:
        CheckpointError: it is not there.
    """
    assert reference.lora is not None
    found = adapter_here(reference.lora)
    if found is None:
        raise CheckpointError(
            "An adapter does not exist.",
            [reference.lora.path],
            "correct the path after the +, or fetch it: hf download REPO_ID.",
        )
    return found


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
