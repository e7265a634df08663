"""Which stored tensors a plan reads; where mergekit plans, it is refused if it leaves any out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.checkpoint.vocabulary import EMBEDDINGS
from rvec_merge.errors import Finding, IncompatibleTensorsError, Notice, shortened
from rvec_merge.plan.by_names import is_constant, is_tied_head
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.tensors import ResolvedTensor
from rvec_merge.recipe.reference import Reference

# One tensor: where each input has it; None where it lacks it.
Row: TypeAlias = tuple[str, Mapping[Reference, TensorInfo | None]]
_LAYER = re.compile(r"^.*?\.\d+\.")
_CHUNK = 1 << 22  # bytes


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


def check_complete(
    known: Mapping[Reference, Input],
    resolved: Sequence[ResolvedTensor],
    found: Reading,
    sliced: bool,
) -> Iterator[Finding]:
    """Stored tensors that mergekit's plan never reads: they would be lost without a word.

    Slices may leave whole layers out, and an input may lend some of its layers alone.
    """
    outputs = {tensor.name for tensor in resolved}
    left: dict[Reference, list[str]] = {}
    buffers: list[str] = []
    for reference, model in known.items():
        if model.label != "target" and not all(reference in t.inputs for t in resolved):
            continue
        read = found.read[reference]
        layers = {_layer(name) for name in read}
        left[reference] = []
        for name, info in model.tensors.items():
            if name in read or name in outputs or (sliced and _layer(name) not in {*layers, None}):
                continue
            if is_constant(info):
                buffers += [name] if model.label == "target" else []
            elif not (is_tied_head(name, model) and _equals_embeddings(info, model)):
                left[reference].append(name)
    yield from _told(known, {reference: names for reference, names in left.items() if names})
    if buffers:
        yield Notice(
            f"{len(buffers)} of the target's stored tensors are not written.",
            tuple(shortened(buffers)),
            "Models compute these constants from their config, and ignore stored ones.",
        )


def architecture(known: Mapping[Reference, Input]) -> str:
    """The target's class, whose definition mergekit takes or infers."""
    named = next(iter(known.values())).config.get("architectures") or ["?"]
    return f"architecture: {named[0]}"


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


def _told(
    known: Mapping[Reference, Input], left: Mapping[Reference, Sequence[str]]
) -> Iterator[Finding]:
    """Whose fault it is: mergekit's plan, where every input has what it leaves out."""
    stores = [{*m.tensors} for m in known.values() if not m.is_vector]
    everywhere = set.intersection(*stores) if stores else set()
    missed = list(dict.fromkeys(n for names in left.values() for n in names if n in everywhere))
    if missed:
        yield IncompatibleTensorsError(
            f"mergekit's plan leaves out {len(missed)} of the {len(everywhere)} tensors that every "
            "input stores.",
            [architecture(known), *shortened(missed)],
            "the checkpoints are alike; mergekit's architecture definition does not list these "
            "tensors, and a merge without them is not the model. Report it to mergekit, or merge "
            "the part that it knows (the language model, say), saved as a checkpoint of its own.",
        )
    lines = [
        f"{name}  in {known[reference].label}"
        for reference, names in left.items()
        for name in names
        if name not in missed
    ]
    if lines:
        yield IncompatibleTensorsError(
            f"{len(lines)} stored tensors belong to no part of the architecture.",
            [*(known[reference].name for reference in left), *shortened(lines)],
            "use checkpoints of one architecture; the merge would leave these out.",
        )


def _layer(name: str) -> str | None:
    """The name of the layer that a tensor belongs to, if any: ``model.layers.3.``."""
    found = _LAYER.match(name)
    return found and found.group()


def _equals_embeddings(info: TensorInfo, model: Input) -> bool:
    return any(
        (other.shape, other.dtype) == (info.shape, info.dtype) and _same_bytes(info, other)
        for other in model.tensors.values()
        if other.name.endswith(EMBEDDINGS)
    )


def _same_bytes(a: TensorInfo, b: TensorInfo) -> bool:
    """Whether two tensors hold the same bytes; of files that are not here yet, it is believed."""
    if a.start < 0 or not (a.path.is_file() and b.path.is_file()):
        return True
    with a.path.open("rb") as first, b.path.open("rb") as second:
        first.seek(a.start)
        second.seek(b.start)
        return all(
            first.read(min(_CHUNK, a.nbytes - done)) == second.read(min(_CHUNK, a.nbytes - done))
            for done in range(0, a.nbytes, _CHUNK)
        )
