"""What a recipe resolves to, tensor by tensor, before it is known where the bytes lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.checkpoint.places import Run
from rvec_merge.checkpoint.vocabulary import Ranges
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
