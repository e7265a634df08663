"""Which stored tensors a plan reads, those among them that mergekit makes others of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.resolved import ResolvedTensor
from rvec_merge.recipe.reference import Reference

# One tensor: where each input has it; None where it lacks it.
Row: TypeAlias = tuple[str, Mapping[Reference, TensorInfo | None]]


@dataclass(frozen=True)
class Reading:
    """What a plan reads of each input.

    Attributes:
        rows: of every output tensor that is read as it is stored, its place in each input; and of
            those that mergekit makes of others, where each input has these.
        read: by reference, the names of all stored tensors that are read.
    """

    rows: Sequence[Row]
    read: Mapping[Reference, set[str]]


def reading(known: Mapping[Reference, Input], resolved: Sequence[ResolvedTensor]) -> Reading:
    """What is read for a plan."""
    rows = list(_rows(known, resolved))
    read: dict[Reference, set[str]] = {reference: set() for reference in known}
    for _, found in rows:
        for reference, info in found.items():
            if info is not None:
                read[reference].add(info.name)
    for tensor in resolved:
        for reference, wanted in tensor.inputs.items():
            if wanted.run is not None and reference in read:
                read[reference].update(wanted.run.names)
    return Reading(rows, read)


def _rows(known: Mapping[Reference, Input], resolved: Sequence[ResolvedTensor]) -> Iterator[Row]:
    tensors = {reference: model.tensors for reference, model in known.items()}
    for tensor in resolved:
        direct: dict[Reference, TensorInfo | None] = {}
        parts: dict[Reference, Sequence[str]] = {}
        for reference, wanted in tensor.inputs.items():
            if reference not in known:
                continue
            info = wanted.find(tensors[reference])
            if info is None and wanted.parts:
                parts[reference] = wanted.parts
            else:
                direct[reference] = info
        if direct:
            yield tensor.name, direct
        for name in dict.fromkeys(name for names in parts.values() for name in names):
            yield name, {reference: tensors[reference].get(name) for reference in parts}
