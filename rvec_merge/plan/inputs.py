"""The models a plan names: their local folders, and where each of their tensors lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.header import Checkpoint, TensorInfo
from rvec_merge.checkpoint.sources import Cast
from rvec_merge.checkpoint.tensor import MappedTensor, StoredTensor, map_file
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.recipe.reference import Reference
from rvec_merge.vector.read import CompactVector


@dataclass(frozen=True)
class Input:
    """One model of a recipe: a checkpoint, or a compact vector in a donor's place.

    Attributes:
        reference: as the recipe names it.
        folder: where it lies.
        content: its headers.
        mapped: a checkpoint's files are mapped, for a process that reads them again and again.
    """

    reference: Reference
    folder: Path
    content: Checkpoint | CompactVector
    mapped: bool = False

    @property
    def names(self) -> Mapping[str, Any]:
        """Its tensors' names."""
        return self._infos

    @property
    def files(self) -> list[Path]:
        """The weight files."""
        return sorted({info.path for info in self._infos.values()})

    @cached_property
    def here(self) -> bool:
        """Whether its weight files are on this machine; of some on the Hub, headers alone are."""
        return all(path.is_file() for path in self.files)

    @property
    def pickled(self) -> bool:
        """Whether only torch can read its weights."""
        return isinstance(self.content, Checkpoint) and self.content.pickled

    def source(self, name: str, dtype: torch.dtype | None = None) -> Source:
        """A tensor, for one thread to read; rounded to ``dtype`` as mergekit's ``dtype`` asks.

        A compact vector's deltas are exact and are never rounded: ``dtype`` is about checkpoints.
        """
        if isinstance(self.content, CompactVector):
            return self.content.source(name)
        info = self.content.tensors[name]
        aligned = info.start % info.dtype.itemsize == 0
        source: Source = (
            MappedTensor(info, self._maps[info.path])
            if self.mapped and aligned
            else StoredTensor(info)
        )
        return source if dtype in (None, source.dtype) else Cast(source, dtype)

    def nbytes(self, name: str) -> int:
        """The bytes a tensor takes in its file."""
        return self._infos[name].nbytes

    @cached_property
    def _maps(self) -> Mapping[Path, Tensor]:
        return {path: map_file(path) for path in self.files}

    @property
    def _infos(self) -> Mapping[str, TensorInfo]:
        content = self.content
        return content.tensors if isinstance(content, Checkpoint) else content.payloads


def read_input(
    reference: Reference, folder: Path, *, allow_pickle: bool = False, mapped: bool = False
) -> Input:
    """Read the headers of a model that lies in ``folder``.

    Raises:
        CheckpointError: they cannot be read.
    """
    if (folder / VECTOR_FILE).is_file():
        return Input(reference, folder, CompactVector.open(folder))
    return Input(reference, folder, Checkpoint.open(folder, allow_pickle=allow_pickle), mapped)
