"""The models a plan names: their local folders, and where each of their tensors lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rvec_merge.arithmetic.dtypes import DType
from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.adapted import check_base
from rvec_merge.checkpoint.adapted import on_base as adapted
from rvec_merge.checkpoint.adapter import Adapter
from rvec_merge.checkpoint.info import TensorInfo
from rvec_merge.checkpoint.sources import Cast
from rvec_merge.checkpoint.weights import Weights, are_here
from rvec_merge.errors import CheckpointError
from rvec_merge.plan.local import adapter_here
from rvec_merge.recipe.reference import Reference
from rvec_merge.vector.inputs import open_folder
from rvec_merge.vector.read import CompactVector


@dataclass(frozen=True)
class Input:
    """One model of a recipe, whatever its weights are made of.

    Attributes:
        reference: as the recipe names it.
        content: its tensors and where their values come from.
    """

    reference: Reference
    content: Weights

    @property
    def folder(self) -> Path:
        """Where its small files lie."""
        return self.content.root

    @property
    def names(self) -> Mapping[str, TensorInfo]:
        """Its tensors' names."""
        return self.content.tensors

    @property
    def files(self) -> Sequence[Path]:
        """The weight files."""
        return self.content.paths

    @cached_property
    def here(self) -> bool:
        """Whether its weight files are on this machine; of some on the Hub, headers alone are."""
        return are_here(self.content)

    @property
    def pickled(self) -> bool:
        """Whether only torch can read its weights."""
        return self.content.pickled

    def source(self, name: str, dtype: DType | None = None) -> Source:
        """A tensor, for one thread to read; rounded to ``dtype`` as mergekit's ``dtype`` asks.

        A compact vector's deltas are exact and are never rounded: ``dtype`` is about checkpoints.
        """
        source = self.content.source(name)
        exact = isinstance(self.content, CompactVector)
        return source if exact or dtype in (None, source.dtype) else Cast(source, dtype)

    def nbytes(self, name: str) -> int:
        """The bytes that are read for a tensor."""
        return self.content.tensors[name].nbytes


def read_input(
    reference: Reference, folder: Path, *, allow_pickle: bool = False, mapped: bool = False
) -> Input:
    """Read the headers of a model that lies in ``folder``, and of the adapter that is put on it.

    Raises:
        CheckpointError: they cannot be read, or the adapter is another model's.
    """
    base = open_folder(folder, allow_pickle=allow_pickle, mapped=mapped)
    if reference.lora is None:
        return Input(reference, base)
    adapter = Adapter.open(adapter_folder(reference))
    check_base(adapter, reference.model.path, base)
    return Input(reference, adapted(base, adapter))


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
