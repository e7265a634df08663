"""What every input is, wherever its values come from: names, shapes, dtypes, bytes, sources."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.header import TensorInfo


class Weights(Protocol):
    """A model or a vector: a stored checkpoint, a compact vector, an adapter on a base, a view.

    Whatever takes a model takes any of them, and reads it by ``source``.
    """

    @property
    def root(self) -> Path:
        """The folder of its small files: config, tokenizer, card."""
        ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor by name, in the order in which its files are read fastest.

        Names, dtypes and shapes are those of ``source``; ``nbytes`` are read for it, from ``path``.
        """
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """``config.json``; empty if there is none."""
        ...

    @property
    def pickled(self) -> bool:
        """Whether only torch can read its weights."""
        ...

    @property
    def paths(self) -> Sequence[Path]:
        """Every weight file that is read."""
        ...

    def source(self, name: str) -> Source:
        """One tensor, for one thread to read."""
        ...


@dataclass(frozen=True)
class View:
    """What a way of reading a checkpoint has from it; its tensors and sources are its own.

    Attributes:
        base: what is read.
    """

    base: Weights

    @property
    def root(self) -> Path:
        """The checkpoint's folder: its config and its tokenizer are the model's."""
        return self.base.root

    @property
    def config(self) -> Mapping[str, Any]:
        """The checkpoint's config."""
        return self.base.config

    @property
    def pickled(self) -> bool:
        """Whether the checkpoint is."""
        return self.base.pickled

    @property
    def paths(self) -> Sequence[Path]:
        """The checkpoint's weight files."""
        return self.base.paths


def layers(weights: Weights) -> Iterator[Weights]:
    """What is read, from the outermost view to what is stored."""
    yield weights
    while isinstance(weights, View):
        weights = weights.base
        yield weights


def are_here(weights: Weights) -> bool:
    """Whether the weight files are on this machine; of some on the Hub, the headers alone are."""
    return all(path.is_file() for path in weights.paths)
