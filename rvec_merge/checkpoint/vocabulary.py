"""A model's vocabulary: which row of its embeddings and of its output head is which token's."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from rvec_merge.checkpoint.model_config import read_json
from rvec_merge.errors import CheckpointError

FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")
ADDED = "added_tokens.json"
HEADS = ("lm_head.weight", "embed_out.weight")
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
Ranges: TypeAlias = tuple[tuple[int, int], ...]  # from the first row to before the second


def is_head(name: str) -> bool:
    """Whether a tensor's name is that of an output head."""
    return name.endswith(HEADS)


def has_tokens_rows(name: str) -> bool:
    """Whether a tensor's rows are the tokens': it is a head, or the embeddings."""
    return name.endswith((*HEADS, *EMBEDDINGS))


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

    @property
    def ids(self) -> dict[str, int]:
        """Every token's id."""
        return {**self.tokens, **self.added, **self.special}

    def __post_init__(self) -> None:
        for tokens in (self.tokens, self.added, self.special):
            if not all(type(token) is str and type(i) is int for token, i in tokens.items()):
                raise TypeError("a token is no text, or its id no integer")
        joined(self.merges or ())


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """The vocabulary from tokenizer.json, or vocab.json; None if there is neither.

    Raises:
        CheckpointError: a file is malformed.
    """
    return _read(_Files.of(folder))


@dataclass(frozen=True)
class _Files:
    """The files that a vocabulary is read from; two folders with the same bytes are equal."""

    digest: bytes
    folder: Path = field(compare=False)

    @classmethod
    def of(cls, folder: Path) -> "_Files":
        digest = hashlib.blake2b()
        for name in (*FILES[:2], ADDED):
            if (folder / name).is_file():
                digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
        return cls(digest.digest(), folder)


@lru_cache(maxsize=4)  # a tokenizer of 150,000 tokens takes a third of a second, and all agree
def _read(files: _Files) -> Vocabulary | None:
    folder = files.folder
    path = next((p for name in FILES[:2] if (p := folder / name).is_file()), None)
    if path is None:
        return None
    try:
        if path.name == FILES[0]:
            return _from_tokenizer(read_json(path))
        more = folder / ADDED
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


def shared_ids(folders: Iterable[Path]) -> Ranges | None:
    """The ids that stand for one token in every folder's tokenizer; see ``common_ids``.

    None too where one cannot be read.
    """
    return _shared(tuple(_Files.of(folder) for folder in folders))


@lru_cache(maxsize=4)
def _shared(files: tuple[_Files, ...]) -> Ranges | None:
    try:
        found = [_read(one) for one in files]
    except CheckpointError:
        return None
    return None if None in found else common_ids([v.ids for v in found if v is not None])


def common_ids(vocabularies: Sequence[Mapping[str, int]]) -> Ranges | None:
    """The ids that stand for one token in all; None where a token has two ids, or none is shared.

    What one tokenizer alone gives a meaning to is left out, and so are ids without a token.
    """
    first, *others = vocabularies
    tokens = set(first).intersection(*others)
    ids = sorted(first[token] for token in tokens)
    if not ids or any(first[token] != other[token] for other in others for token in tokens):
        return None
    runs = (list(run) for _, run in groupby(enumerate(ids), lambda item: item[1] - item[0]))
    return tuple((run[0][1], run[-1][1] + 1) for run in runs)


def joined(merges: Sequence[Any]) -> list[str]:
    """A tokenizer's merges, as "a b"."""
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
