"""Tokenizers that give one id to different tokens: rows of the embeddings would be mixed up."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rvec_merge.checkpoint.vocabulary import (
    FILES,
    Vocabulary,
    joined,
    read_vocabulary,
    shared_ids,
)
from rvec_merge.errors import CheckpointError, Finding, IncompatibleTensorsError, Notice, RvecError
from rvec_merge.plan.inputs import Input
from rvec_merge.recipe.config import METHOD, RecipeConfig
from rvec_merge.recipe.reference import Reference

_EXAMPLES = 3
_OTHERS = ("vocab.txt", "*.model", "*.tiktoken", "tekken.json")  # not compared


def check(config: RecipeConfig, models: Mapping[Reference, Input]) -> Iterator[Finding]:
    """Compare every model's token ids with the target's, from its files alone.

    With a ``tokenizer`` in the recipe rows are moved, or left out, by each model's own.
    """
    if config.asks_for_tokenizer:
        yield from _without(models.values())
        if config.rows_of_target and config.merge_method == METHOD:
            yield from _left_out(config, models)
        return
    yield from compare(models.values())


def compare(models: Iterable[Input]) -> Iterator[Finding]:
    """Compare the token ids of the first model with the others'."""
    candidates = [m for m in models if not m.is_vector or _files(m)]
    if len(candidates) < 2 or not any(map(_files, candidates)):
        return
    first, *others = candidates
    unread = []
    for other in others:
        try:
            mine, theirs = (read_vocabulary(model.folder) for model in (first, other))
        except RvecError as error:
            yield error
            continue
        if mine is None or theirs is None:
            if not _same_bytes(first, other):
                unread.append(other.name)
        elif mine is not theirs:
            yield from _compare(first, other, mine, theirs)
    if unread:
        yield Notice(
            "Tokenizers were not compared.",
            (first.name, *unread, f"one of each two lacks {FILES[0]} and {FILES[1]}"),
            "Make sure that they give the same ids to the same tokens.",
        )


def _left_out(config: RecipeConfig, models: Mapping[Reference, Input]) -> Iterator[Notice]:
    """What becomes of rows that are not every input's, where nothing is moved."""
    folders = {model.folder: model for r, model in models.items() if r != config.target}
    target = models.get(config.target)
    found = shared_ids((target.folder, *folders)) if target else None
    mine = read_vocabulary(target.folder) if target else None
    if found is None or mine is None:
        return
    count = sum(last - first for first, last in found)
    shared = {i for first, last in found for i in range(first, last)}
    others = sorted((i, token) for token, i in mine.ids.items() if i not in shared)
    if others:
        yield Notice(
            f"{count} tokens have one id in all inputs; their rows are merged.",
            (
                f"{len(others)} tokens of the target keep their rows:",
                *(f"  {token!r}: {i}" for i, token in others[:_EXAMPLES]),
            ),
            "That is what tokenizer: {source: base} asks for.",
        )


def _without(models: Iterable[Input]) -> Iterator[CheckpointError]:
    """Of a model that has none, transformers makes an empty one: no row would be the model's."""
    lacking = [
        model.name
        for model in models
        if not _files(model) and not any(any(model.folder.glob(name)) for name in _OTHERS)
    ]
    if lacking:
        yield CheckpointError(
            "The recipe's tokenizer needs one at every input, to tell whose row is whose.",
            [*lacking, f"none of {', '.join((*FILES, *_OTHERS))} is there"],
            "put each model's own tokenizer into its folder; or, where the ids agree, leave "
            "tokenizer and tokenizer_source out of the recipe.",
        )


def _compare(first: Input, other: Input, a: Vocabulary, b: Vocabulary) -> Iterator[Finding]:
    lines = []
    kinds = (
        ("tokens", a.tokens, b.tokens),
        ("added tokens", a.added, b.added),
        ("special tokens", a.special, b.special),
    )
    # A token may be added on one side and in the base vocabulary on the other: same row.
    everything = [v.ids for v in (a, b)]
    for kind, mine, theirs in kinds if everything[0] != everything[1] else ():
        differing = [
            t
            for t in dict.fromkeys([*mine, *theirs])
            if everything[0].get(t) != everything[1].get(t)
        ]
        if differing:
            differing.sort(key=lambda t: min(v.get(t, 1 << 62) for v in everything))
            lines.append(f"{len(differing)} {kind} differ:")
            lines += [
                f"  {t!r}: {first.label} {_id(everything[0], t)}, "
                f"{other.label} {_id(everything[1], t)}"
                for t in differing[:_EXAMPLES]
            ]
    if lines:
        yield IncompatibleTensorsError(
            f"The tokenizers of {other.label} and {first.label} give different ids.",
            [first.name, other.name, *lines],
            "align the rows with the recipe's tokenizer: {source: base}, or pick donors made "
            "from the target's base model.",
        )
    elif a.rules and b.rules and (a.rules != b.rules or not _same_merges(a.merges, b.merges)):
        yield Notice(
            f"The tokenizers of {other.label} and {first.label} split text differently.",
            (first.name, other.name, "same ids; other merges, normalizer, pre- or post-processing"),
            "The merge takes the target's.",
        )


def _same_merges(a: Sequence[Any] | None, b: Sequence[Any] | None) -> bool:
    return a == b or joined(a or ()) == joined(b or ())


def _id(tokens: Mapping[str, int], token: str) -> str:
    return str(tokens.get(token, "(none)"))


def _files(model: Input) -> list[Path]:
    return [path for name in FILES if (path := model.folder / name).is_file()]


def _same_bytes(a: Input, b: Input) -> bool:
    """Whether both have the same tokenizer file, byte for byte; the usual case, and a cheap one."""
    for name in FILES:
        mine, theirs = a.folder / name, b.folder / name
        if mine.is_file() and theirs.is_file():
            return mine.stat().st_size == theirs.stat().st_size and (
                mine.read_bytes() == theirs.read_bytes()
            )
    return False
