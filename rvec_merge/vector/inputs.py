"""What a vector is made of: two donors, a compact vector, or a dense one; told apart and paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from rvec_merge.arithmetic.dtypes import is_weight
from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.updates import without_common_base
from rvec_merge.checkpoint.dequantized import dequantized
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.places import Run, located
from rvec_merge.checkpoint.weights import Weights
from rvec_merge.errors import IncompatibleTensorsError, RecipeError
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.vector.format import DonorRecord, DonorRole
from rvec_merge.vector.provenance import describe
from rvec_merge.vector.read import CompactVector


class Vector(Protocol):
    """A reasoning vector, wherever its deltas come from."""

    @property
    def label(self) -> str:
        """What a table calls it."""
        ...

    @property
    def roots(self) -> Sequence[Path]:
        """The folders read; the first one's config and tokenizer are the vector's."""
        ...

    @property
    def config(self) -> Mapping[str, Any]: ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Every tensor's shape, in the order in which the files are read fastest."""
        ...

    def delta(self, name: str) -> Delta:
        """One tensor's delta, with sources for the calling thread."""
        ...

    def donors(self, *, hash_files: bool) -> dict[DonorRole, DonorRecord]:
        """What is known of the donors; empty for a dense vector."""
        ...


@dataclass(frozen=True)
class DonorPair:
    """``grpo − sft`` of two checkpoints with the same tensors."""

    grpo_name: str
    sft_name: str
    grpo: Weights
    sft: Weights

    @property
    def label(self) -> str:
        return f"{self.grpo_name} − {self.sft_name}"

    @property
    def roots(self) -> Sequence[Path]:
        return [self.grpo.root, self.sft.root]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.grpo.config

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: info.shape for name, info in self.grpo.tensors.items()}

    @cached_property
    def places(self) -> Mapping[str, Run]:
        """Where the sft donor stores each tensor; see ``twins``."""
        return twins(self.grpo, self.sft)

    def delta(self, name: str) -> Delta:
        minus = self.places[name].read(self.sft.source)
        return without_common_base(Delta(self.grpo.source(name), minus, 1.0))

    def donors(self, *, hash_files: bool) -> dict[DonorRole, DonorRecord]:
        return {
            "grpo": describe(self.grpo_name, self.grpo, hash_files=hash_files),
            "sft": describe(self.sft_name, self.sft, hash_files=hash_files),
        }


@dataclass(frozen=True)
class DenseVector:
    """A checkpoint whose tensors are differences already."""

    label: str
    checkpoint: Checkpoint

    @property
    def roots(self) -> Sequence[Path]:
        return [self.checkpoint.root]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.checkpoint.config

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: info.shape for name, info in self.checkpoint.tensors.items()}

    def delta(self, name: str) -> Delta:
        return Delta(self.checkpoint.source(name), None, 1.0, plus_name="vector")

    def donors(self, *, hash_files: bool) -> dict[DonorRole, DonorRecord]:
        return {}


@dataclass(frozen=True)
class PackedVector:
    """A compact vector, as a vector among others."""

    label: str
    compact: CompactVector

    @property
    def roots(self) -> Sequence[Path]:
        return [self.compact.root]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.compact.config

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(self.compact.head.tensors[name].shape) for name in self.compact.names}

    def delta(self, name: str) -> Delta:
        return Delta(self.compact.source(name), None, 1.0, plus_name="vector")

    def donors(self, *, hash_files: bool) -> dict[DonorRole, DonorRecord]:
        return self.compact.head.donors


def open_folder(folder: Path, *, allow_pickle: bool = False, mapped: bool = False) -> Weights:
    """What lies in a folder: a compact vector, or a checkpoint.

    Raises:
        CheckpointError: it is neither, or cannot be read.
    """
    if (folder / VECTOR_FILE).is_file():
        return CompactVector.open(folder)
    return dequantized(Checkpoint.open(folder, allow_pickle=allow_pickle, mapped=mapped))


def open_vector(folder: Path, label: str = "") -> Vector:
    """A compact or dense vector from its folder.

    Args:
        label: what tables and errors call it; the folder where there is none.

    Raises:
        CheckpointError: the folder holds neither.
        IncompatibleTensorsError: a tensor is no floating-point difference.
    """
    label = label or f"{folder}"
    if (folder / VECTOR_FILE).is_file():
        return PackedVector(label, CompactVector.open(folder))
    checkpoint = Checkpoint.open(folder)
    facts = [f"{t.name}  {t.dtype}" for t in checkpoint.tensors.values() if not is_weight(t.dtype)]
    if facts:
        raise IncompatibleTensorsError(
            f"{len(facts)} of {len(checkpoint.tensors)} tensors are no differences.",
            [f"{folder}", *facts[:8]],
            "use a vector of 16-bit floating point or wider.",
        )
    return DenseVector(label, checkpoint)


def open_donors(grpo: Path, sft: Path, names: tuple[str, str] | None = None) -> DonorPair:
    """Two donors as a vector.

    Args:
        names: what tables, errors and provenance call them; the folders where there are none.

    Raises:
        CheckpointError: one cannot be read.
        RecipeError: both are one checkpoint.
        IncompatibleTensorsError: names, shapes or dtypes do not let them be subtracted.
    """
    return pair_of(Checkpoint.open(grpo), Checkpoint.open(sft), names or (f"{grpo}", f"{sft}"))


def pair_of(plus: Weights, minus: Weights, names: tuple[str, str]) -> DonorPair:
    """Two donors that were opened as a vector; see ``open_donors``."""
    plus_name, minus_name = names
    if [p.resolve() for p in plus.paths] == [p.resolve() for p in minus.paths]:
        raise RecipeError(
            "Both donors are one checkpoint.",
            [f"grpo: {plus_name}", f"sft:  {minus_name}"],
            "name the checkpoint trained with reinforcement learning as grpo, and the one it "
            "started from as sft.",
        )
    pair = DonorPair(plus_name, minus_name, plus, minus)
    _ = pair.places  # or an error
    return pair


def twins(grpo: Weights, sft: Weights) -> dict[str, Run]:
    """Where the sft donor stores each of the grpo donor's tensors.

    Raises:
        IncompatibleTensorsError: one has a tensor that the other lacks, or shapes or dtypes do not
            let them be subtracted.
    """
    found = located(grpo.tensors, sft.tensors, str(grpo.config.get("model_type")))
    read = {name for run in found.values() for name in run.names}
    facts = [f"{name}: only in grpo" for name in grpo.tensors if name not in found]
    facts += [f"{name}: only in sft" for name in sft.tensors if name not in read]
    for name, run in found.items():
        plus, minus = grpo.tensors[name], run.find(sft.tensors)
        assert minus is not None
        if plus.shape != minus.shape or not (is_weight(plus.dtype) and is_weight(minus.dtype)):
            sides = [f"{s} {t.shape} {t.dtype}" for s, t in (("grpo", plus), ("sft", minus))]
            facts.append(f"{name}: {'  '.join(sides)}")
    if facts:
        more = [f"and {len(facts) - 8} more"] if len(facts) > 8 else []
        raise IncompatibleTensorsError(
            f"Donors disagree on {len(facts)} of {len(grpo.tensors)} tensors.",
            [f"grpo: {grpo.root}", f"sft:  {sft.root}", *sorted(facts)[:8], *more],
            "pick donors trained from one base model, with one vocabulary and weights of 16 bits "
            "or more.",
        )
    return found
