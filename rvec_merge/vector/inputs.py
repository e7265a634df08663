"""What a vector is made of: two donors, a compact vector, or a dense one; told apart and paired."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

from rvec_merge.checkpoint import Checkpoint
from rvec_merge.errors import CheckpointError, IncompatibleTensorsError, RecipeError, RvecError
from rvec_merge.kernel import Delta, is_weight
from rvec_merge.pairs import Pair
from rvec_merge.problems import Notice, combined
from rvec_merge.recipe import Recipe
from rvec_merge.vector.format import HEAD, DonorRecord, DonorRole
from rvec_merge.vector.provenance import describe
from rvec_merge.vector.read import CompactVector
from rvec_merge.vector.stored import StoredTensor

LOG = logging.getLogger(__name__)


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
    grpo: Checkpoint
    sft: Checkpoint

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

    def delta(self, name: str) -> Delta:
        plus, minus = self.grpo.tensors[name], self.sft.tensors[name]
        return Delta(StoredTensor(plus), StoredTensor(minus), 1.0)

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
        return Delta(StoredTensor(self.checkpoint.tensors[name]), None, 1.0, plus_name="vector")

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
        return Delta(self.compact.tensor(name), None, 1.0, plus_name="vector")

    def donors(self, *, hash_files: bool) -> dict[DonorRole, DonorRecord]:
        return self.compact.head.donors


def open_vector(reference: Hashable) -> Vector:
    """A compact or dense vector from its folder, or Hub id.

    Raises:
        CheckpointError: the folder holds neither.
        IncompatibleTensorsError: a tensor is no floating-point difference.
    """
    folder = locate(reference)
    if (folder / HEAD).is_file():
        return PackedVector(str(reference), CompactVector.open(folder))
    checkpoint = Checkpoint.open(folder)
    facts = [f"{t.name}  {t.dtype}" for t in checkpoint.tensors.values() if not is_weight(t.dtype)]
    if facts:
        raise IncompatibleTensorsError(
            f"{len(facts)} of {len(checkpoint.tensors)} tensors are no differences.",
            [f"{folder}", *facts[:8]],
            "use a vector of 16-bit floating point or wider.",
        )
    return DenseVector(str(reference), checkpoint)


def open_donors(grpo: Hashable, sft: Hashable) -> DonorPair:
    """Two donors as a vector. Settings in which they differ are logged.

    Raises:
        CheckpointError: one cannot be read.
        RecipeError: both are one checkpoint.
        IncompatibleTensorsError: names, shapes, dtypes, configs or tokenizers do not let them be
            subtracted.
    """
    plus, minus = Checkpoint.open(locate(grpo)), Checkpoint.open(locate(sft))
    if plus.root.resolve() == minus.root.resolve():
        raise RecipeError(
            "Both donors are one checkpoint.",
            [f"grpo: {grpo}", f"sft:  {sft}"],
            "name the checkpoint trained with reinforcement learning as grpo, and the one it "
            "started from as sft.",
        )
    check_twins(plus, minus)
    _check_alike(plus, minus)
    return DonorPair(str(grpo), str(sft), plus, minus)


def _check_alike(grpo: Checkpoint, sft: Checkpoint) -> None:
    """Refuse donors whose rows are other tokens', or whose weights are another model's.

    Raises:
        CheckpointError: a tokenizer or a config cannot be read.
        IncompatibleTensorsError: they differ in what no vector can carry.
    """
    from rvec_merge.preflight import configs, tokenizers
    from rvec_merge.preflight.models import Model

    first, other = (
        Model(cast("Any", c.root), label, c.root, c.tensors, c.config)
        for label, c in (("grpo", grpo), ("sft", sft))
    )
    found = [*tokenizers.compare([first, other])]
    if first.config and other.config and first.config != other.config:
        found += configs.compare(first, other, configs.ALLOWABLE)
    for notice in found:
        if isinstance(notice, Notice):
            LOG.warning("%s", notice)
    if errors := [finding for finding in found if isinstance(finding, RvecError)]:
        raise combined(errors)


def open_recipe_vector(recipe: Recipe, pair: str | None = None) -> Vector:
    """The vector of a recipe: its pair's donors, without scale, weight, masks or control.

    Raises:
        RecipeError: the recipe has several pairs and ``pair`` names none of them.
        CheckpointError, IncompatibleTensorsError: see ``open_donors``.
    """
    chosen = choose_pair(recipe, pair)
    if chosen.sft is None:
        return open_vector(chosen.grpo)
    return open_donors(chosen.grpo, chosen.sft)


def locate(reference: Hashable) -> Path:
    """The local folder of a path or Hub id; fetches what is not in the Hub's cache.

    Raises:
        CheckpointError: it is no such folder, or it names an adapter.
        HubError: there is no such repository, or it cannot be had.
    """
    path = Path(str(reference))
    if path.is_dir():
        return path
    from rvec_merge.hub.models import fetch_model
    from rvec_merge.hub.references import SCHEME, try_reference

    hub = None if path.exists() else try_reference(str(reference).removeprefix(SCHEME))
    if hub is None:
        raise CheckpointError(
            "A model cannot be found.",
            [f"{reference}"],
            "correct the path or the Hub id; a relative path starts at the current folder.",
        )
    return fetch_model(hub)


def choose_pair(recipe: Recipe, name: str | None) -> Pair:
    """A recipe's pair of that name; its only one where no name is given.

    Raises:
        RecipeError: there is none, or there are several.
    """
    if not recipe.is_reasoning_vector:
        raise RecipeError(
            "The recipe describes no reasoning vector.",
            [recipe.source, f"merge_method: {recipe.config.merge_method}"],
            "use a recipe with merge_method: reasoning_vector, or name the donors.",
        )
    found = {(p.grpo, p.sft): p for slices in recipe.pairs() for p in slices}
    pairs = [p for p in found.values() if name in (None, p.name)]
    if len(pairs) == 1:
        return pairs[0]
    raise RecipeError(
        "The recipe does not say which vector is meant.",
        [f"pair {p.name!r}: {p.grpo}" for p in found.values()],
        "name one of its pairs: --pair NAME.",
    )


def check_twins(grpo: Checkpoint, sft: Checkpoint) -> None:
    """Refuse donors that cannot be subtracted.

    Raises:
        IncompatibleTensorsError: names, shapes or dtypes differ.
    """
    facts = [f"{name}: only in grpo" for name in grpo.tensors if name not in sft.tensors]
    facts += [f"{name}: only in sft" for name in sft.tensors if name not in grpo.tensors]
    for name in grpo.tensors.keys() & sft.tensors.keys():
        plus, minus = grpo.tensors[name], sft.tensors[name]
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
