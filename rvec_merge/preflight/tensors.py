"""Tensors that are missing, extra, differently shaped or differently tied."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from rvec_merge.checkpoint.model_config import tied
from rvec_merge.checkpoint.places import bare
from rvec_merge.errors import (
    CheckpointError,
    Finding,
    IncompatibleTensorsError,
    Notice,
    RecipeError,
    shortened,
)
from rvec_merge.plan.by_names import is_constant
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.tensors import ResolvedTensor
from rvec_merge.preflight.reading import Reading, Row, architecture, check_complete
from rvec_merge.preflight.scales import place
from rvec_merge.recipe.config import RecipeConfig
from rvec_merge.recipe.reference import Reference

HEAD = "lm_head.weight"


def check(
    config: RecipeConfig,
    models: Mapping[Reference, Input],
    resolved: Sequence[ResolvedTensor],
    found: Reading,
    by_mergekit: bool,
) -> Iterator[Finding]:
    """What differs between the inputs' tensors; by the plan, by name where there is none yet.

    Args:
        by_mergekit: it was mergekit that planned, and its definitions may leave something out.
    """
    known = {ref: model for ref, model in models.items() if model.weights is not None}
    yield from _check_ties(known)
    if not known:
        return
    if resolved:
        rows = list(found.rows)
        if by_mergekit:
            yield from check_complete(known, resolved, found, config.is_sliced)
        else:
            rows += _by_name(known, found.read)
            yield from _renamed(known, resolved)
    elif config.is_sliced:
        return
    else:
        rows = [row for row in _by_name(known, {}) if row[0] != HEAD]
    yield from _check_missing(rows, known, config.is_sliced)
    yield from _check_shapes(rows, known, config.asks_for_tokenizer)


def _renamed(
    known: Mapping[Reference, Input], resolved: Sequence[ResolvedTensor]
) -> Iterator[Notice]:
    """Inputs that have the target's tensors under other names, or in another form."""
    target = next(iter(known.values())).tensors
    for reference, model in known.items():
        pairs = [
            (tensor.name, wanted.names[0])
            for tensor in resolved
            if (wanted := tensor.inputs.get(reference)) and wanted.names[0] != tensor.name
        ]
        regrouped = [
            f"{tensor.name}  read from {wanted.run.names[0]}"
            for tensor in resolved
            if (wanted := tensor.inputs.get(reference)) and wanted.run is not None
        ]
        if regrouped:
            yield Notice(
                f"{model.label} stores {len(regrouped)} of the target's tensors in another form.",
                (model.name, *shortened(regrouped)),
                "They are the same ones by transformers' table of what it loads, and are read "
                "where they are. Stock mergekit pairs what its own definitions know.",
            )
        if pairs:
            yield Notice(
                f"{len(pairs)} of {len(target)} tensors have other names in {model.label}.",
                (model.name, *shortened([f"{theirs}  read as {ours}" for ours, theirs in pairs])),
                "They differ by what a trainer or another version of transformers wraps a model "
                "in, and have equal shapes. Stock mergekit does not pair them.",
            )


def _by_name(
    known: Mapping[Reference, Input], read: Mapping[Reference, Collection[str]]
) -> list[Row]:
    """What any input stores and no plan reads, the constants aside."""
    stored = {reference: model.tensors for reference, model in known.items()}
    names = {
        name: None
        for reference, tensors in stored.items()
        for name, info in tensors.items()
        if name not in read.get(reference, ()) and not is_constant(info)
    }
    return [(name, {r: tensors.get(name) for r, tensors in stored.items()}) for name in names]


def shape_error(
    target: str,
    donor: str,
    differing: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]],
    total: int,
) -> IncompatibleTensorsError:
    """The error that lists tensors whose shape differs, and explains padded vocabularies."""
    width = max(len(name) for name, _, _ in differing)
    facts = [target, donor]
    facts += shortened([f"{name:{width}}  {a} and {b}" for name, a, b in differing])
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


def _check_missing(
    rows: Sequence[Row], known: Mapping[Reference, Input], sliced: bool
) -> Iterator[Finding]:
    lines, nowhere = [], []
    for name, found in rows:
        lacking = [known[reference].label for reference, info in found.items() if info is None]
        if lacking and any(info is not None for info in found.values()):
            lines.append(f"{name}  missing in {', '.join(lacking)}")
        elif lacking:
            nowhere.append(f"{name}  missing everywhere")
    if lines:
        yield IncompatibleTensorsError(
            f"{len(lines)} of {len(rows)} tensors are not in every input.",
            [*(model.name for model in known.values()), *shortened(lines)],
            "use a target and donors of one architecture, complete and saved alike.",
        )
    if nowhere and sliced:
        yield RecipeError(
            f"The slices name {len(nowhere)} tensors that no input stores.",
            shortened(nowhere),
            "end each layer_range at the model's number of layers (num_hidden_layers in "
            "config.json) or before.",
        )
    elif nowhere:
        yield IncompatibleTensorsError(
            f"mergekit's architecture definition requires {len(nowhere)} tensors that no input "
            "stores.",
            [architecture(known), *shortened(nowhere)],
            "if transformers loads these checkpoints without missing weights, mergekit's "
            "definition is older than they are: report it to mergekit, no recipe can mend it. "
            "Else fetch them again.",
        )


def _check_shapes(
    rows: Sequence[Row], known: Mapping[Reference, Input], aligned: bool
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


def _needs_head(model: Input) -> bool:
    """Whether a model that writes text stores nothing that could be its output head."""
    named = str(model.config.get("architectures"))
    heads = ("head", "embed_out", "output", "decoder", "proj")
    outside = (name for name in model.tensors if not place(name)[0].isdigit())
    return "ForCausalLM" in named and not any(h in n for n in outside for h in heads)


def _check_ties(known: Mapping[Reference, Input]) -> Iterator[Finding]:
    stored = {
        reference
        for reference, model in known.items()
        if any(name.endswith(HEAD) and bare(name) == HEAD for name in model.tensors)
    }
    stated = {m.config.get("tie_word_embeddings") for m in known.values()}
    if len(stated) == 1 and len(stored) == len(known):
        return  # alike and complete, whatever a config that says nothing means
    ties = {reference: tied(model.config) for reference, model in known.items()}
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
    elif any(
        tie is False and r not in stored and (stored or _needs_head(known[r]))
        for r, tie in ties.items()
    ):
        yield CheckpointError(
            f"An untied model has no {HEAD}.", lines, "fetch the whole checkpoint again."
        )
    elif 0 < len(stored) < len(known) and all(ties.values()):
        yield Notice(
            f"Some inputs store {HEAD} although it is tied to the embeddings.",
            tuple(lines),
            "transformers takes a stored head that differs from the embeddings as it is, and the "
            "embeddings where none is stored; the merge does the same. Other loaders may not.",
        )
