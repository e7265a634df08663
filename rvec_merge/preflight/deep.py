"""The checks that read weights, a sample of each tensor: `rvec check --deep`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from rvec_merge.arithmetic.dtypes import FLOAT64, Array, is_floating_point, rounded
from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.errors import Finding, NonFiniteError, Notice, RecipeError
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.tensors import InputTensor, ResolvedTensor, Stored
from rvec_merge.preflight import same_model
from rvec_merge.preflight.scales import place
from rvec_merge.recipe.reference import Reference
from rvec_merge.vector.inspection import looks_like_a_model

SAMPLE = 1 << 16  # elements of a tensor, in RUNS stretches spread evenly over it
RUNS = 16
# Matrices of one initialisation stay nearly parallel through fine-tuning, those of two are nearly
# orthogonal: the halfway mark tells them apart with room on both sides.
SHARED_COSINE = 0.5
NORM_RATIO = 1.25


@dataclass
class _Sums:
    """Running sums over samples: squared norms of target, donor and difference; inner product."""

    target: float = 0.0
    donor: float = 0.0
    difference: float = 0.0
    inner: float = 0.0

    def add(self, target: Array, donor: Array) -> None:
        self.target += float(target @ target)
        self.donor += float(donor @ donor)
        self.inner += float(target @ donor)
        gap = donor - target
        self.difference += float(gap @ gap)

    @property
    def distance(self) -> float:
        return sqrt(self.difference / self.target) if self.target else 0.0

    @property
    def cosine(self) -> float:
        norms = sqrt(self.target * self.donor)
        return self.inner / norms if norms else 0.0

    @property
    def ratio(self) -> float:
        return sqrt(self.donor / self.target) if self.target else 0.0


@dataclass(frozen=True)
class Closeness:
    """One donor beside the target, from samples.

    Attributes:
        name: role and reference.
        distance: ‖donor − target‖ / ‖target‖ over the samples of matrices; vectors of norms are
            alike in all models and say nothing.
        cosine: of donor and target, over the same.
        norm_ratio: ‖donor‖ / ‖target‖, over the same.
        groups: distance and cosine by module group.
        tensors: distance and cosine by tensor.
    """

    name: str
    distance: float
    cosine: float
    norm_ratio: float
    groups: Mapping[str, tuple[float, float]]
    tensors: Mapping[str, tuple[float, float]]


@dataclass
class _Donor:
    matrices: _Sums = field(default_factory=_Sums)
    groups: dict[str, _Sums] = field(default_factory=dict)
    tensors: dict[str, _Sums] = field(default_factory=dict)

    def add(self, name: str, matrix: bool, target: Array, donor: Array) -> None:
        row, column = place(name)
        sums = [self.groups.setdefault(column or row, _Sums())]
        sums.append(self.tensors.setdefault(name, _Sums()))
        for each in [*sums, self.matrices] if matrix else sums:
            each.add(target, donor)


def compare_weights(
    models: Mapping[Reference, Input], resolved: Sequence[ResolvedTensor]
) -> tuple[list[Closeness], list[Finding]]:
    """How far each donor is from the target, and what that says about it.

    Memory: one tensor's samples of every model.
    """
    donors = {ref: _Donor() for ref, m in models.items() if m.label != "target" and not m.compact}
    alike = {(a, b) for a in models for b in models if str(a) < str(b)}
    broken: dict[str, list[str]] = {}
    for tensor in resolved:
        samples: dict[Reference, Array] = {}
        matrix = False
        for reference, wanted in tensor.inputs.items():
            model = models[reference]
            info = wanted.find(model.tensors)
            if info is None or model.compact or not is_floating_point(info.dtype):
                continue
            values = sample(_source(model, wanted, info))
            bad = int(np.count_nonzero(~np.isfinite(values)))
            if bad:
                broken.setdefault(model.name, []).append(f"{info.name}: {bad} of {len(values)}")
            samples[reference], matrix = (
                np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0),
                len(info.shape) > 1,
            )
        alike = {(a, b) for a, b in alike if _equal(samples.get(a), samples.get(b))}
        target = samples.get(tensor.target)
        for reference, donor in donors.items():
            theirs = samples.get(reference)
            if target is not None and theirs is not None and theirs.shape == target.shape:
                donor.add(tensor.name, matrix, target, theirs)
    closeness = {reference: _closeness(models[reference], d) for reference, d in donors.items()}
    findings = [*_broken(broken), *_copies(models, alike)]
    for reference, close in closeness.items():
        findings += _judge(models[reference], close)
    return list(closeness.values()), findings


def sample(source: Source) -> Array:
    """Up to ``SAMPLE`` elements of a tensor, spread over it, the same ones every time.

    Dtypes: float64, so that sums over all tensors stay exact enough to tell 0 from small.
    """
    runs = _stretches(source.size)
    taken = [source[start : start + length].copy() for start, length in runs]
    return rounded(np.concatenate(taken), FLOAT64)


def _source(model: Input, wanted: InputTensor, info: TensorInfo) -> Source:
    if model.pickled:
        from rvec_merge.arithmetic.tensors import array_of

        return array_of(_unpickled(info.path)[info.name].reshape(-1))
    return Stored(model, info.name, None, wanted.run).source()


def _stretches(count: int) -> list[tuple[int, int]]:
    """Where a tensor of so many elements is sampled: starts and lengths."""
    if count <= SAMPLE:
        return [(0, count)]
    length = SAMPLE // RUNS
    return [((count - length) * run // (RUNS - 1), length) for run in range(RUNS)]


@cache
def _unpickled(path: Path) -> dict[str, Any]:
    import torch

    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return state


def _equal(a: Array | None, b: Array | None) -> bool:
    return a is None or b is None or np.array_equal(a, b)


def _closeness(model: Input, donor: _Donor) -> Closeness:
    def pairs(sums: Mapping[str, _Sums]) -> dict[str, tuple[float, float]]:
        return {name: (each.distance, each.cosine) for name, each in sums.items()}

    return Closeness(
        model.name,
        donor.matrices.distance,
        donor.matrices.cosine,
        donor.matrices.ratio,
        pairs(donor.groups),
        pairs(donor.tensors),
    )


def _broken(broken: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for name, lines in broken.items():
        yield NonFiniteError(
            "An input is not finite.",
            [name, *(f"{line} sampled values are NaN or Inf" for line in lines[:5])],
            "use an intact checkpoint; a download or a training run has gone wrong.",
        )


def _copies(
    models: Mapping[Reference, Input],
    alike: set[tuple[Reference, Reference]],
) -> Iterator[Finding]:
    for a, b in sorted(alike, key=str):
        if models[a].compact or models[b].compact:
            continue
        roles = {models[reference].label.split(" ")[0] for reference in (a, b)}
        if roles == {"target", "sft"}:
            yield same_model.extrapolation(
                models[a].name, f"{models[b].name} holds the same weights"
            )
        else:
            yield RecipeError(
                "Two inputs hold the same weights.",
                [models[a].name, models[b].name, "every sampled value is equal"],
                "name three different checkpoints; a checkpoint minus itself is no vector.",
            )


def _judge(model: Input, close: Closeness) -> Iterator[Finding]:
    if model.is_vector:
        if close.cosine > SHARED_COSINE:
            fact = f"cosine with the target {close.cosine:.3f}"
            yield looks_like_a_model(model.name, fact)
        return
    if close.cosine < SHARED_COSINE:
        yield Notice(
            "A donor does not share the target's initialisation.",
            (model.name, f"cosine of its matrices with the target's {close.cosine:.3f}"),
            "Its vector means nothing to this target: pick donors made from the target's base.",
        )
    elif not 1 / NORM_RATIO < close.norm_ratio < NORM_RATIO:
        yield Notice(
            "A donor's weights are of another size than the target's.",
            (model.name, f"norm {close.norm_ratio:.3f} times the target's"),
            "Make sure that both come from one base model, and that neither was rescaled.",
        )
