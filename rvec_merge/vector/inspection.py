"""What a vector looks like: sizes, sparsity and directions, per tensor, layer and module kind."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rvec_merge.arithmetic.packing import squares_of
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.tensor import StoredTensor
from rvec_merge.errors import IncompatibleTensorsError, Notice
from rvec_merge.vector.blocks import DeltaReader, Window, in_order, windows, windows_of
from rvec_merge.vector.format import TensorRecord
from rvec_merge.vector.inputs import DonorPair, PackedVector, Vector
from rvec_merge.vector.module_names import Place, place
from rvec_merge.vector.rank import stable_rank
from rvec_merge.vector.statistics import Measured, measured

Gram = NDArray[np.float64]
Sum = TypeVar("Sum", Measured, Gram)

_OF_A_MODEL = 0.1  # the size of a norm layer's weights: near 1 in a model, below 0.01 in a vector


@dataclass(frozen=True)
class Row:
    """One tensor's facts, or those of a group of tensors.

    Attributes:
        label: the tensor's name, or the group's.
        place: the tensor's layer and kind; None for a group.
        measured: of the first vector.
        gram: inner products of the vectors' deltas, (n, n), in the order of ``Inspection.labels``.
        matrix: whether it has two dimensions or more, as biases and norms have not.
        stable_rank: ‖v‖²_F / ‖v‖²₂; None if not asked for, or the tensor is no matrix.
    """

    label: str
    place: Place | None
    measured: Measured
    gram: Gram
    matrix: bool
    stable_rank: float | None = None

    @property
    def relative_norm(self) -> float | None:
        """Norm relative to the weight's; None if no weight was at hand, or it is zero."""
        weight = self.measured.weight_norm
        return self.measured.norm / weight if weight > 0 else None

    @property
    def one_ulp_share(self) -> float | None:
        """Share of the changed elements that moved by one representable step."""
        steps = self.measured.one_ulp
        return None if steps is None or not self.measured.nonzero else steps / self.measured.nonzero

    @property
    def cosines(self) -> list[list[float | None]]:
        """Of each two vectors; None where one is zero."""
        return cosines(self.gram)


@dataclass(frozen=True)
class Inspection:
    """The facts of one vector, and how it lies to others.

    Attributes:
        labels: the vectors, the inspected one first; ``target − base`` last, if asked for.
        weight: whose weights relative norms relate to: ``target``, ``sft`` or None.
        rows: one per tensor.
    """

    labels: tuple[str, ...]
    weight: str | None
    rows: tuple[Row, ...]

    @property
    def total(self) -> Row:
        """All tensors together."""
        return _group("all", self.rows)

    def by_layer(self) -> list[Row]:
        """One row per layer; what is outside the layers comes last."""
        return self._grouped(lambda p: "outside layers" if p.layer is None else str(p.layer))

    def by_kind(self) -> list[Row]:
        """One row per module kind."""
        return self._grouped(lambda p: p.kind)

    def by_place(self) -> list[Row]:
        """One row per layer and kind: what shares both, such as a layer's experts, is together."""
        groups: dict[Place, list[Row]] = {}
        for row in self.rows:
            assert row.place is not None
            groups.setdefault(row.place, []).append(row)
        return [replace(_group(p.kind, rows), place=p) for p, rows in groups.items()]

    def doubts(self) -> list[Notice]:
        """That a model was given in a vector's place, if it looks so."""
        sizes = (
            row.measured.norm / row.measured.elements**0.5
            for row in self.rows
            if "norm" in row.label and not row.matrix
        )
        largest = max(sizes, default=0.0)
        if largest < _OF_A_MODEL:
            return []
        fact = f"a norm layer's weights are {largest:.2g} on average; a difference's are near 0"
        return [looks_like_a_model(self.labels[0], fact)]

    def _grouped(self, key: Callable[[Place], str]) -> list[Row]:
        groups: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=_layers_first):
            assert row.place is not None
            groups.setdefault(key(row.place), []).append(row)
        return [_group(label, rows) for label, rows in groups.items()]


def looks_like_a_model(name: str, fact: str) -> Notice:
    """The warning of a model in a vector's place."""
    return Notice(
        "An input of role vector looks like a model, not like a difference.",
        (name, fact),
        "Give it as a grpo donor beside its sft donor.",
    )


def inspect_vector(
    vector: Vector,
    others: Sequence[Vector] = (),
    *,
    target: Checkpoint | None = None,
    base: Checkpoint | None = None,
    ranks: bool = False,
) -> Inspection:
    """Measure a vector, and its direction against others and against ``target − base``.

    A compact vector's own facts come from its head; everything else streams.

    Memory: some blocks, whatever the models' size.

    Args:
        target: relates norms to its weights instead of the sft donor's.
        base: with ``target``, adds the cosine with ``target − base``.
        ranks: estimate stable ranks, by several passes.

    Raises:
        IncompatibleTensorsError: the vectors and models do not have the same tensors.
        NonFiniteError: a donor holds NaN or Inf.
    """
    compared = [vector, *others]
    for label, model in (("target", target), ("base", base)):
        if model is not None:
            _check_same(vector, label, {n: t.shape for n, t in model.tensors.items()})
    if target is not None and base is not None:
        compared.append(DonorPair("target", "base", target, base))
    for other in compared[1:]:
        _check_same(vector, other.label, other.shapes)
    measured = _own_facts(vector)
    if target is not None:
        for name, squares in _weight_squares(target, vector).items():
            measured[name] = replace(measured[name], weight_squares=squares)
    grams = _grams(compared) if len(compared) > 1 else {}
    rows = [
        Row(
            name,
            place(name),
            facts,
            grams.get(name, np.array([[facts.squares]])),
            len(vector.shapes[name]) > 1,
            stable_rank(vector, name, facts.squares) if ranks else None,
        )
        for name, facts in measured.items()
    ]
    related = any(row.relative_norm is not None for row in rows)
    weight = "target" if target is not None else "sft" if related else None
    return Inspection(tuple(v.label for v in compared), weight, tuple(rows))


def cosines(gram: Gram) -> list[list[float | None]]:
    """The cosine of each two vectors from their inner products; None where one is zero."""
    norms = np.sqrt(np.diag(gram))
    return [
        [float(g / (a * b)) if a * b > 0 else None for g, b in zip(line, norms, strict=True)]
        for line, a in zip(gram, norms, strict=True)
    ]


def _own_facts(vector: Vector) -> dict[str, Measured]:
    if isinstance(vector, PackedVector):
        return {name: _recorded(vector.compact.head.tensors[name]) for name in vector.shapes}
    reader = DeltaReader(vector)

    def block(window: Window) -> Measured:
        found = measured(reader.squeezed(window))
        if not np.isfinite(found.squares):
            raise reader.non_finite(window)
        return found

    return _summed(in_order(block, windows(vector)))


def _recorded(record: TensorRecord) -> Measured:
    weight = float("nan") if record.sft_norm is None else record.sft_norm
    return Measured(
        record.numel,
        record.nonzero,
        record.inexact,
        record.norm**2,
        record.largest,
        weight**2,
        record.one_ulp,
    )


def _weight_squares(checkpoint: Checkpoint, vector: Vector) -> dict[str, float]:
    squares: dict[str, float] = {}
    for name, shape in vector.shapes.items():
        source = StoredTensor(checkpoint.tensors[name])
        blocks = (source[window.start : window.stop] for window in windows_of(name, shape))
        squares[name] = sum(map(squares_of, blocks))
    return squares


def _grams(vectors: Sequence[Vector]) -> dict[str, Gram]:
    readers = [DeltaReader(vector) for vector in vectors]

    def block(window: Window) -> Gram:
        stacked = np.stack([reader.values(window).astype(np.float64) for reader in readers])
        products: Gram = stacked @ stacked.T
        return products

    return _summed(in_order(block, windows(vectors[0])))


def _summed(blocks: Iterable[tuple[Window, Sum]]) -> dict[str, Sum]:
    sums: dict[str, Sum] = {}
    for window, part in blocks:
        sums[window.name] = sums[window.name] + part if window.name in sums else part
    return sums


def _group(label: str, rows: Sequence[Row]) -> Row:
    measured = reduce(add, (row.measured for row in rows))
    gram = reduce(add, (row.gram for row in rows))
    return Row(label, None, measured, gram, all(row.matrix for row in rows))


def _layers_first(row: Row) -> tuple[bool, int]:
    assert row.place is not None
    return row.place.layer is None, row.place.layer or 0


def _check_same(vector: Vector, label: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    facts = [
        f"{name}: {shape} against {shapes.get(name, 'nothing')}"
        for name, shape in vector.shapes.items()
        if shapes.get(name) != shape
    ]
    if facts:
        more = [f"and {len(facts) - 5} more"] if len(facts) > 5 else []
        raise IncompatibleTensorsError(
            f"The vector and {label} disagree on {len(facts)} tensors.",
            [f"vector: {vector.label}", *facts[:5], *more],
            "compare what belongs to one architecture and size.",
        )
