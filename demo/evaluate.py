"""The shipped family in memory: its merges, its items, and how a set of weights scores on them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file

from rvec_merge.arithmetic.controls import Control
from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.merge_tensor import merge_tensor

from .decode import Written, answer_all
from .language import with_think
from .make_data import DATA
from .model import load_model, load_tokenizer

FAMILY = Path(__file__).resolve().parent / "family"
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Items:
    """Questions with their gold answers and the steps each one needs."""

    kinds: list[str]
    questions: list[str]
    answers: list[str]
    n_steps: list[int]

    @staticmethod
    def load(name: str, limit: int | None = None) -> Items:
        """Read ``name``.jsonl, one of the task data files. Families alternate from item to item."""
        lines = (DATA / f"{name}.jsonl").read_text(encoding="ascii").splitlines()[:limit]
        rows = [json.loads(line) for line in lines]
        return Items(
            [row["kind"] for row in rows],
            [row["question"] for row in rows],
            [row["answer"] for row in rows],
            [row["n_steps"] for row in rows],
        )


@dataclass(frozen=True)
class Score:
    """What one set of weights did on one set of items."""

    written: list[Written]

    @property
    def hits(self) -> list[bool]:
        return [w.correct for w in self.written]

    @property
    def accuracy(self) -> float:
        return sum(self.hits) / len(self.hits)

    @property
    def error(self) -> float:
        return math.sqrt(self.accuracy * (1 - self.accuracy) / len(self.hits))

    @property
    def parsable(self) -> float:
        return sum(w.parsable for w in self.written) / len(self.written)

    @property
    def steps(self) -> float:
        return sum(w.steps for w in self.written) / len(self.written)

    def among(self, chosen: Sequence[bool]) -> Score:
        return Score([w for w, keep in zip(self.written, chosen, strict=True) if keep])

    def minus(self, other: Score) -> tuple[float, float]:
        """Paired difference of accuracy and its standard error."""
        gaps = [float(a) - float(b) for a, b in zip(self.hits, other.hits, strict=True)]
        mean = sum(gaps) / len(gaps)
        variance = sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)
        return mean, math.sqrt(variance / len(gaps))


@dataclass(frozen=True)
class Geometry:
    """The size of the vector: its norm relative to the target's, and how dense it is."""

    relative_norm: float
    nonzero: float


@dataclass
class Family:
    """Shipped checkpoints, read as stored; merges go through the same kernel as recipes do."""

    folder: Path = FAMILY
    _read: dict[str, Weights] = field(default_factory=dict)

    def weights(self, name: str) -> Weights:
        if name not in self._read:
            self._read[name] = load_file(self.folder / name / "model.safetensors")
        return self._read[name]

    def merge(
        self,
        scale: float,
        *,
        donors: str = "",
        control: Literal["random", "permuted"] | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> Weights:
        """``target + scale · (grpo − sft)``, in float32 unless told to round to ``dtype``.

        ``donors`` is the folder of another pair; ``control`` replaces the vector by a control.
        """
        grpo, sft = self.weights(f"{donors}grpo"), self.weights(f"{donors}sft")
        merged = {}
        for name, target in self.weights("target").items():
            drawn = None if control is None else Control(control, seed, name)
            delta = Delta(grpo[name], sft[name], scale, control=drawn)
            merged[name] = merge_tensor(target, [delta], out_dtype=dtype, name=name)
        return merged

    def geometry(self) -> Geometry:
        moved = still = size = nonzero = 0.0
        for name, target in self.weights("target").items():
            v = self.weights("grpo")[name].double() - self.weights("sft")[name].double()
            moved += float(v.square().sum())
            still += float(target.double().square().sum())
            size += v.numel()
            nonzero += int(v.count_nonzero())
        return Geometry(math.sqrt(moved / still), nonzero / size)


class Examiner:
    """One model in memory whose weights are replaced from condition to condition."""

    def __init__(self, family: Family) -> None:
        self.tokenizer: Any = load_tokenizer(family.folder / "target")
        self.model: Any = load_model(family.folder / "target").eval()

    def score(
        self, weights: Weights, items: Items, *, think: bool = False, forced: bool = False
    ) -> Score:
        """Answer ``items`` with ``weights``; arithmetic is float32 whatever they are stored in."""
        extra = self.model.load_state_dict(weights, strict=False)
        if extra.unexpected_keys or set(extra.missing_keys) - {"lm_head.weight"}:
            raise ValueError(f"These weights do not fit the model: {extra}")
        questions = [with_think(q) for q in items.questions] if think else items.questions
        steps = items.n_steps if forced else None
        return Score(answer_all(self.model, self.tokenizer, questions, items.answers, steps))
