"""Which stored tensors a plan reads, those among them that mergekit makes others of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.plan.resolved import ResolvedTensor
from rvec_merge.preflight.models import Model
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


def find(tensors: Mapping[str, TensorInfo], wanted: "InputTensor") -> TensorInfo | None:
    """The tensor that mergekit would read for a planned input; None if it is not there."""
    return next((tensors[name] for name in wanted.names if name in tensors), None)


def reading(known: Mapping[Reference, Model], resolved: Sequence[ResolvedTensor]) -> Reading:
    """What mergekit reads for a plan: tensors, and what it fuses or renames on the way."""
    made = {reference: _made(model, reference, resolved) for reference, model in known.items()}
    rows = list(_rows(known, resolved, made))
    read: dict[Reference, set[str]] = {reference: set() for reference in known}
    for _, found in rows:
        for reference, info in found.items():
            if info is not None:
                read[reference].add(info.name)
    return Reading(rows, read)


def _rows(
    known: Mapping[Reference, Model],
    resolved: Sequence[ResolvedTensor],
    made: Mapping[Reference, Mapping[str, Sequence[str]]],
) -> Iterator[Row]:
    for tensor in resolved:
        direct: dict[Reference, TensorInfo | None] = {}
        parts: dict[Reference, Sequence[str]] = {}
        for reference, wanted in tensor.inputs.items():
            if reference not in known:
                continue
            info = find(known[reference].tensors or {}, wanted)
            sources = made[reference].get(wanted.names[0], ())
            if info is None and sources:
                parts[reference] = sources
            else:
                direct[reference] = info
        if direct:
            yield tensor.name, direct
        for name in dict.fromkeys(name for names in parts.values() for name in names):
            yield (
                name,
                {reference: (known[reference].tensors or {}).get(name) for reference in parts},
            )


def _made(
    model: Model, reference: Reference, resolved: Sequence[ResolvedTensor]
) -> dict[str, list[str]]:
    """By the name of each tensor that mergekit makes of stored ones, their names."""
    tensors = model.tensors or {}
    inputs = [tensor.inputs[reference] for tensor in resolved if reference in tensor.inputs]
    absent = {wanted.names[0] for wanted in inputs if find(tensors, wanted) is None}
    if not absent:
        return {}
    from mergekit.architecture.conversion import can_convert_checkpoint_keys

    kind = model.config.get("model_type")
    found: dict[str, list[str]] = {}
    for stored, names in _conversions(kind, tensors):
        for name in names & absent:
            found.setdefault(name, []).append(stored)
    return {
        name: sources
        for name, sources in found.items()
        if can_convert_checkpoint_keys(kind, set(sources), name)
    }


def _conversions(kind: str | None, stored: Iterable[str]) -> Iterator[tuple[str, set[str]]]:
    """Every stored name, with the names that transformers' conversions give it or its result."""
    from mergekit.architecture.conversion import _expanded_target_keys
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    transforms = get_checkpoint_conversion_mapping(kind) or () if kind else ()
    for name in stored:
        reached = {name}
        for transform in transforms:
            for known in list(reached):
                renamed, pattern = transform.rename_source_key(known)
                if pattern is not None:
                    reached |= _expanded_target_keys(renamed, transform.target_patterns)
        yield name, reached - {name}
