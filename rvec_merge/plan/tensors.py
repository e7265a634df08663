"""The tensors of a plan: what a recipe resolves to, and where the bytes of that lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod, sqrt
from typing import Any

import numpy as np

from rvec_merge.arithmetic.dtypes import FLOAT32, Array, DType
from rvec_merge.arithmetic.kernel import Delta, Source
from rvec_merge.checkpoint.places import Run
from rvec_merge.checkpoint.sources import SomeRows
from rvec_merge.checkpoint.tensor import TensorInfo
from rvec_merge.checkpoint.vocabulary import Ranges
from rvec_merge.plan.inputs import Input
from rvec_merge.recipe.deltas import deltas
from rvec_merge.recipe.reference import Reference


@dataclass(frozen=True)
class InputTensor:
    """Where one input of an output tensor is to be found.

    Attributes:
        names: the names it may have in the checkpoint, in order of preference.
        dtype: the dtype it is rounded to when it is read, as a recipe's ``dtype`` says; or None.
        optional: whether it may be missing.
        parts: stored tensors that mergekit makes it of, where it is not stored itself.
        run: where it is read instead, if it is stored under none of the names.
        rows: of a vocabulary that is not the target's, the rows that are merged.
    """

    names: tuple[str, ...]
    dtype: str | None = None
    optional: bool = False
    parts: tuple[str, ...] = ()
    run: Run | None = None
    rows: Ranges | None = None

    def find(self, tensors: Mapping[str, TensorInfo]) -> TensorInfo | None:
        """The stored tensor that is read; None if it is not there."""
        found = next((tensors[name] for name in self.names if name in tensors), None)
        return self.run.find(tensors) if found is None and self.run is not None else found


@dataclass(frozen=True)
class ResolvedTensor:
    """One output tensor: its inputs and its resolved parameters.

    Attributes:
        name: the output name.
        target: the reference that is ``base_model`` here.
        inputs: by reference, in the recipe's order; of what is only copied, the target alone.
        parameters: shared values, and mappings by reference for per-donor ones; what
            ``recipe.deltas`` takes.
        out_dtype: what the result is rounded to; None leaves the method's own dtype.
    """

    name: str
    target: Reference
    inputs: Mapping[Reference, InputTensor]
    parameters: Mapping[str, Any]
    out_dtype: str | None

    @property
    def is_copied(self) -> bool:
        """Whether it is the target's, whatever donors there are."""
        return len(self.inputs) == 1 and self.target in self.inputs


@dataclass(frozen=True)
class Stored:
    """Where one input of one tensor lies: the model, the name there, and the dtype to read as.

    Attributes:
        run: where it is no stored tensor of its own, its elements; ``name`` is then the first's.
        rows: where rows are tokens', those that are read, and how many the target has.
    """

    model: Input
    name: str
    dtype: DType | None
    run: Run | None = None
    rows: tuple[Ranges, int] | None = None

    def source(self) -> Source:
        """The tensor, for one thread to read."""
        stored = self._stored()
        return stored if self.rows is None else SomeRows(stored, *self.rows)

    def _stored(self) -> Source:
        if self.run is None:
            return self.model.source(self.name, self.dtype)
        return self.run.read(lambda name: self.model.source(name, self.dtype))

    @property
    def nbytes(self) -> int:
        """The bytes that are read for it."""
        if self.run is None:
            return self.model.tensors[self.name].nbytes
        return prod(self.run.shape) * self.model.tensors[self.name].dtype.itemsize


@dataclass(frozen=True)
class PlannedTensor:
    """One tensor of the output.

    Attributes:
        name: its name in the output.
        shape, dtype: as it is written.
        inputs: where each model has it, the target among them, in mergekit's order.
        target: the target's reference.
        parameters: as mergekit resolved them: shared values, and mappings by reference.
        value: the tensor itself where nothing is to be streamed: a buffer that is copied.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    inputs: Mapping[Reference, Stored]
    target: Reference
    parameters: Mapping[str, Any]
    value: Array | None = None

    @property
    def numel(self) -> int:
        """Its elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes it takes in the output."""
        return self.numel * self.dtype.itemsize

    @cached_property
    def nbytes_read(self) -> int:
        """The bytes its inputs take in their files."""
        return sum(stored.nbytes for stored in self.inputs.values())

    @property
    def scale(self) -> float:
        """The scale mergekit resolved for this tensor."""
        return float(self.parameters["scale"])

    def open(self) -> tuple[Source, list[Delta]]:
        """The target and the deltas, for one thread to read."""
        sources = {reference: stored.source() for reference, stored in self.inputs.items()}
        return sources[self.target], deltas(self.name, sources, self.target, self.parameters)


def norm_ratio(tensor: PlannedTensor, other: PlannedTensor) -> float:
    """What another vector's part in a tensor is multiplied by to have this one's norm.

    0 where the other adds nothing to the tensor.
    """
    own, theirs = (_norm(one.open()[1], one.numel) for one in (tensor, other))
    return own / theirs if theirs else 0.0


def _norm(made: Sequence[Delta], numel: int) -> float:
    """The 2-norm, in float64, of what deltas add with their coefficients."""
    from rvec_merge.arithmetic.loop import BLOCK
    from rvec_merge.arithmetic.prepared import difference, prepared

    ready = [prepared(delta, FLOAT32) for delta in made]
    total = 0.0
    for low in range(0, numel, BLOCK):
        high = min(low + BLOCK, numel)
        added = np.zeros(high - low)
        for delta in ready:
            added += delta.coefficient * difference(delta, low, high, FLOAT32).astype(np.float64)
        total += float(added @ added)
    return sqrt(total)
