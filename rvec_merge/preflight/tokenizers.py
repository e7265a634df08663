"""Tokenizers that give one id to different tokens: rows of the embeddings would be mixed up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvec_merge.checkpoint import read_json
from rvec_merge.errors import CheckpointError, IncompatibleTensorsError, RvecError
from rvec_merge.preflight.models import Model
from rvec_merge.problems import Finding, Notice

if TYPE_CHECKING:
    from mergekit.common import ModelReference
    from mergekit.config import MergeConfiguration

_EXAMPLES = 3
_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")


@dataclass(frozen=True)
class Vocabulary:
    """Token to id, by kind; and what else decides how text becomes tokens."""

    tokens: Mapping[str, int]
    added: Mapping[str, int]
    special: Mapping[str, int]
    splitting: Any


def check(
    config: "MergeConfiguration", models: Mapping["ModelReference", Model]
) -> Iterator[Finding]:
    """Compare every model's token ids with the target's, from its files alone.

    Not for a recipe with a ``tokenizer``, under which mergekit moves the rows itself.
    """
    if config.tokenizer or config.tokenizer_source:
        return
    candidates = [m for m in models.values() if not m.is_vector or _files(m)]
    if len(candidates) < 2 or not any(map(_files, candidates)):
        return
    first, *others = candidates
    unread = []
    for other in others:
        shared = _same_bytes(first, other)
        if shared:
            continue
        try:
            mine, theirs = read(first.folder), read(other.folder)
        except RvecError as error:
            yield error
            continue
        if mine is None or theirs is None:
            unread.append(other.name)
            continue
        yield from _compare(first, other, mine, theirs)
    if unread:
        yield Notice(
            "Tokenizers were not compared.",
            (first.name, *unread, f"one of each two lacks {_FILES[0]} and {_FILES[1]}"),
            "Make sure that they give the same ids to the same tokens.",
        )


def read(folder: Path) -> Vocabulary | None:
    """The vocabulary from tokenizer.json, or vocab.json; None if there is neither.

    Raises:
        CheckpointError: a file is malformed.
    """
    path = folder / _FILES[0]
    if path.is_file():
        data = read_json(path)
        try:
            return _from_tokenizer(data)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise CheckpointError(
                "tokenizer.json is malformed.", [f"{path}"], "fetch the checkpoint again."
            ) from None
    if (folder / _FILES[1]).is_file():
        more = folder / "added_tokens.json"
        added = read_json(more) if more.is_file() else {}
        return Vocabulary(read_json(folder / _FILES[1]), added, {}, None)
    return None


def _from_tokenizer(data: Mapping[str, Any]) -> Vocabulary:
    model = data["model"]
    vocab = model["vocab"]
    if isinstance(vocab, list):  # Unigram: [token, score] in the order of ids
        vocab = {entry[0]: index for index, entry in enumerate(vocab)}
    extra = data.get("added_tokens") or []
    named = {token["content"] for token in extra}
    merges = [
        tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model.get("merges", ())
    ]
    return Vocabulary(
        {token: index for token, index in vocab.items() if token not in named},
        {t["content"]: t["id"] for t in extra if not t.get("special")},
        {t["content"]: t["id"] for t in extra if t.get("special")},
        (merges, data.get("normalizer"), data.get("pre_tokenizer")),
    )


def _compare(first: Model, other: Model, a: Vocabulary, b: Vocabulary) -> Iterator[Finding]:
    lines = []
    kinds = (
        ("tokens", a.tokens, b.tokens),
        ("added tokens", a.added, b.added),
        ("special tokens", a.special, b.special),
    )
    # A token may be added on one side and in the base vocabulary on the other: same row.
    everything = [{**v.tokens, **v.added, **v.special} for v in (a, b)]
    for kind, mine, theirs in kinds:
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
    elif a.splitting and b.splitting and a.splitting != b.splitting:
        yield Notice(
            f"The tokenizers of {other.label} and {first.label} split text differently.",
            (first.name, other.name, "same ids; other merges, normalizer or pre-tokenizer"),
            "The merge takes the target's.",
        )


def _id(tokens: Mapping[str, int], token: str) -> str:
    return str(tokens.get(token, "(none)"))


def _files(model: Model) -> list[Path]:
    return [path for name in _FILES if (path := model.folder / name).is_file()]


def _same_bytes(a: Model, b: Model) -> bool:
    """Whether both have the same tokenizer file, byte for byte; the usual case, and a cheap one."""
    for name in _FILES:
        mine, theirs = a.folder / name, b.folder / name
        if mine.is_file() and theirs.is_file():
            return mine.stat().st_size == theirs.stat().st_size and (
                mine.read_bytes() == theirs.read_bytes()
            )
    return False
