"""Tokenizers that give one id to different tokens: rows of the embeddings would be mixed up."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvec_merge.checkpoint.header import read_json
from rvec_merge.errors import CheckpointError, Finding, IncompatibleTensorsError, Notice, RvecError
from rvec_merge.preflight.models import Model
from rvec_merge.recipe.config import RecipeConfig
from rvec_merge.recipe.reference import Reference

_EXAMPLES = 3
_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")
_OTHERS = ("vocab.txt", "*.model", "*.tiktoken", "tekken.json")  # not compared
_ADDED = "added_tokens.json"


@dataclass(frozen=True)
class Vocabulary:
    """Token to id, by kind; and what else decides how text becomes tokens.

    ``merges`` are "a b" or ["a", "b"], as the library's version wrote them.
    """

    tokens: Mapping[str, int]
    added: Mapping[str, int] = field(default_factory=dict)
    special: Mapping[str, int] = field(default_factory=dict)
    merges: Sequence[Any] | None = None
    rules: Any = None

    def __post_init__(self) -> None:
        for tokens in (self.tokens, self.added, self.special):
            if not all(type(token) is str and type(i) is int for token, i in tokens.items()):
                raise TypeError("a token is no text, or its id no integer")
        _joined(self.merges or ())


def check(config: RecipeConfig, models: Mapping[Reference, Model]) -> Iterator[Finding]:
    """Compare every model's token ids with the target's, from its files alone.

    With a ``tokenizer`` in the recipe mergekit moves the rows itself, by each model's own.
    """
    if config.tokenizer or config.tokenizer_source:
        yield from _without(models.values())
        return
    yield from compare(models.values())


def compare(models: Iterable[Model]) -> Iterator[Finding]:
    """Compare the token ids of the first model with the others'."""
    candidates = [m for m in models if not m.is_vector or _files(m)]
    if len(candidates) < 2 or not any(map(_files, candidates)):
        return
    first, *others = candidates
    unread = []
    known: dict[bytes, Vocabulary | None] = {}
    for other in others:
        try:
            mine, theirs = (_read_once(model.folder, known) for model in (first, other))
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
            (first.name, *unread, f"one of each two lacks {_FILES[0]} and {_FILES[1]}"),
            "Make sure that they give the same ids to the same tokens.",
        )


def _without(models: Iterable[Model]) -> Iterator[CheckpointError]:
    """Of a model that has none, transformers makes an empty one: no row would be the model's."""
    lacking = [
        model.name
        for model in models
        if not _files(model) and not any(any(model.folder.glob(name)) for name in _OTHERS)
    ]
    if lacking:
        yield CheckpointError(
            "The recipe's tokenizer needs one at every input, to tell whose row is whose.",
            [*lacking, f"none of {', '.join((*_FILES, *_OTHERS))} is there"],
            "put each model's own tokenizer into its folder; or, where the ids agree, leave "
            "tokenizer and tokenizer_source out of the recipe.",
        )


def _read_once(folder: Path, known: dict[bytes, Vocabulary | None]) -> Vocabulary | None:
    """``read``, once for all folders whose files are the same bytes: the usual case."""
    digest = hashlib.blake2b()
    for name in (*_FILES[:2], _ADDED):
        if (folder / name).is_file():
            digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
    key = digest.digest()
    if key not in known:
        known[key] = read(folder)
    return known[key]


def read(folder: Path) -> Vocabulary | None:
    """The vocabulary from tokenizer.json, or vocab.json; None if there is neither.

    Raises:
        CheckpointError: a file is malformed.
    """
    path = next((p for name in _FILES[:2] if (p := folder / name).is_file()), None)
    if path is None:
        return None
    try:
        if path.name == _FILES[0]:
            return _from_tokenizer(read_json(path))
        more = folder / _ADDED
        return Vocabulary(read_json(path), read_json(more) if more.is_file() else {})
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise CheckpointError(
            f"{path.name} is malformed.", [f"{path}"], "fetch the checkpoint again."
        ) from None


def _from_tokenizer(data: Mapping[str, Any]) -> Vocabulary:
    model = data["model"]
    vocab = model["vocab"]
    if isinstance(vocab, list):  # Unigram: [token, score] in the order of ids
        vocab = {entry[0]: index for index, entry in enumerate(vocab)}
    extra = data.get("added_tokens") or []
    for token in extra:  # some files list an added token in the base vocabulary too
        vocab.pop(token["content"], None)
    return Vocabulary(
        vocab,
        {t["content"]: t["id"] for t in extra if not t.get("special")},
        {t["content"]: t["id"] for t in extra if t.get("special")},
        model.get("merges"),
        tuple(data.get(name) for name in ("normalizer", "pre_tokenizer", "post_processor")),
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
    return a == b or _joined(a or ()) == _joined(b or ())


def _joined(merges: Sequence[Any]) -> list[str]:
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


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
