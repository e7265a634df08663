"""Tensors that are missing, extra, differently shaped or differently tied."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from rvec_merge.checkpoint import TensorInfo
from rvec_merge.errors import CheckpointError, IncompatibleTensorsError
from rvec_merge.preflight import configs
from rvec_merge.preflight.models import Model
from rvec_merge.problems import Finding, Notice

if TYPE_CHECKING:
    from mergekit.common import ModelReference
    from mergekit.config import MergeConfiguration

    from rvec_merge.resolve import InputTensor, ResolvedTensor

HEAD = "lm_head.weight"
_LISTED = 8
_LAYER = re.compile(r"\.\d+\.")
# Constants that old checkpoints stored and that models recompute.
_BUFFERS = re.compile(r"(rotary_emb\.inv_freq|\.masked_bias|\.attn\.bias|\.position_ids)$")

# One output tensor: where each input has it; None where it lacks it.
Row: TypeAlias = tuple[str, Mapping["ModelReference", TensorInfo | None]]


def check(
    config: "MergeConfiguration",
    models: Mapping["ModelReference", Model],
    resolved: Sequence["ResolvedTensor"],
) -> Iterator[Finding]:
    """What differs between the inputs' tensors; by mergekit's plan, by name where there is none."""
    known = {ref: model for ref, model in models.items() if model.tensors is not None}
    yield from _check_ties(known)
    if len(known) < 2:
        return
    sliced = bool(config.slices or any(m.slices for m in (config.modules or {}).values()))
    if resolved:
        rows = [_planned(tensor, known) for tensor in resolved]
        yield from _check_dropped(rows, known, sliced)
    elif sliced:
        return
    else:
        names = dict.fromkeys(name for model in known.values() for name in model.tensors or ())
        rows = [
            (name, {r: (m.tensors or {}).get(name) for r, m in known.items()}) for name in names
        ]
        rows = [row for row in rows if row[0] != HEAD and not _BUFFERS.search(row[0])]
    yield from _check_missing(rows, known)
    yield from _check_shapes(rows, known, bool(config.tokenizer or config.tokenizer_source))


def find(tensors: Mapping[str, TensorInfo], wanted: "InputTensor") -> TensorInfo | None:
    """The tensor that mergekit would read for a planned input; None if it is not there."""
    return next((tensors[name] for name in wanted.names if name in tensors), None)


def shape_error(
    target: str,
    donor: str,
    differing: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]],
    total: int,
) -> IncompatibleTensorsError:
    """The error that lists tensors whose shape differs, and explains padded vocabularies."""
    width = max(len(name) for name, _, _ in differing[:_LISTED])
    facts = [target, donor]
    facts += [f"{name:{width}}  {a} and {b}" for name, a, b in differing[:_LISTED]]
    if len(differing) > _LISTED:
        facts.append(f"and {len(differing) - _LISTED} more")
    fix = "use donors and a target of one architecture and size."
    if all(differ_in_rows(name, a, b) for name, a, b in differing):
        fix = (
            "the vocabularies are padded differently; align them with the recipe's "
            "tokenizer: {source: base}, or pick donors made from one base model."
        )
    return IncompatibleTensorsError(
        f"Shapes differ in {len(differing)} of {total} tensors.", facts, fix
    )


def differ_in_rows(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether only the vocabulary's size differs."""
    vocabulary = "embed" in name or "lm_head" in name
    return vocabulary and len(a) == len(b) == 2 and a[1] == b[1]


def _planned(tensor: "ResolvedTensor", known: Mapping["ModelReference", Model]) -> Row:
    return tensor.name, {
        reference: find(known[reference].tensors or {}, wanted)
        for reference, wanted in tensor.inputs.items()
        if reference in known and not _convertible(known[reference], wanted)
    }


def _convertible(model: Model, wanted: "InputTensor") -> bool:
    """Whether mergekit makes the tensor from others (fused experts, renamed layers)."""
    names = set(model.tensors or ())
    if wanted.optional or any(name in names for name in wanted.names):
        return False
    from mergekit.architecture.conversion import can_convert_checkpoint_keys

    kind = model.config.get("model_type")
    return bool(can_convert_checkpoint_keys(kind, names, wanted.names[0]))


def _check_missing(
    rows: Sequence[Row], known: Mapping["ModelReference", Model]
) -> Iterator[Finding]:
    lines = []
    for name, found in rows:
        lacking = [known[reference].label for reference, info in found.items() if info is None]
        if lacking and any(info is not None for info in found.values()):
            lines.append(f"{name}  missing in {', '.join(lacking)}")
        elif lacking:
            lines.append(f"{name}  missing everywhere")
    if lines:
        yield IncompatibleTensorsError(
            f"{len(lines)} of {len(rows)} tensors are not in every input.",
            [*(model.name for model in known.values()), *_shortened(lines)],
            "use a target and donors of one architecture, complete and saved alike.",
        )


def _check_dropped(
    rows: Sequence[Row], known: Mapping["ModelReference", Model], sliced: bool
) -> Iterator[Finding]:
    """Stored tensors that mergekit's plan never reads: they would be lost without a word."""
    used: dict[ModelReference, set[str]] = {reference: set() for reference in known}
    for _, found in rows:
        for reference, info in found.items():
            if info is not None:
                used[reference].add(info.name)
    complete = [r for r in known if all(r in found for _, found in rows)]
    lines = []
    for reference in complete:
        model = known[reference]
        unread = [n for n in model.tensors or () if n not in used[reference]]
        # Slices may leave layers out, and an input may lend some layers alone.
        whole = not sliced and any(_LAYER.search(name) for name in used[reference])
        for name in unread:
            if not _BUFFERS.search(name) and (whole or not _LAYER.search(name)):
                lines.append(f"{name}  in {model.label}")
    if lines:
        yield IncompatibleTensorsError(
            f"{len(lines)} stored tensors belong to no part of the architecture.",
            [*(known[r].name for r in complete), *_shortened(lines)],
            "use checkpoints of one architecture; the merge would leave these out.",
        )


def _check_shapes(
    rows: Sequence[Row], known: Mapping["ModelReference", Model], aligned: bool
) -> Iterator[Finding]:
    first = next(iter(known))
    for other in list(known)[1:]:
        differing = []
        for name, found in rows:
            a, b = found.get(first), found.get(other)
            if a is None or b is None or a.shape == b.shape:
                continue
            if not (aligned and differ_in_rows(name, a.shape, b.shape)):
                differing.append((name, a.shape, b.shape))
        if differing:
            yield shape_error(known[first].name, known[other].name, differing, len(rows))


def _check_ties(known: Mapping["ModelReference", Model]) -> Iterator[Finding]:
    ties = {reference: configs.tied(model.config) for reference, model in known.items()}
    stored = {reference for reference, m in known.items() if HEAD in (m.tensors or {})}
    lines = [
        f"{known[r].name}: {'tied' if tie else 'untied'}, "
        f"{'with' if r in stored else 'without'} {HEAD}"
        for r, tie in ties.items()
        if tie is not None
    ]
    if len({tie for tie in ties.values() if tie is not None}) > 1:
        yield IncompatibleTensorsError(
            "Some inputs tie their embeddings and some do not.",
            lines,
            "use a target and donors that all tie them, or all do not (tie_word_embeddings).",
        )
    elif stored and any(tie is False and r not in stored for r, tie in ties.items()):
        yield CheckpointError(
            f"An untied model has no {HEAD}.", lines, "fetch the whole checkpoint again."
        )
    elif 0 < len(stored) < len(known) and all(ties.values()):
        yield Notice(
            f"Some inputs store {HEAD} although it is tied to the embeddings.",
            tuple(lines),
            "Loaders take the embeddings in its place.",
        )


def _shortened(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return [*lines[:_LISTED], *more]
