"""What `rvec inspect` measures, against whole-tensor arithmetic in float64."""

import pytest
import torch

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import IncompatibleTensorsError
from rvec_merge.vector.dense import extract_dense
from rvec_merge.vector.inputs import open_donors, open_vector
from rvec_merge.vector.inspection import inspect_vector
from tests.conftest import load_tensors, make_triple
from tests.vector.conftest import SHARD_SIZE


@pytest.fixture(scope="module")
def deltas(triple):
    grpo, sft = load_tensors(triple["grpo"]), load_tensors(triple["sft"])
    return {name: grpo[name].double() - sft[name].double() for name in grpo}


def facts(row):
    return (
        row.label,
        row.measured.elements,
        row.measured.nonzero,
        row.measured.largest,
        row.measured.one_ulp,
        pytest.approx(row.measured.norm, rel=1e-12),
    )


def test_per_tensor_facts(pair, triple, deltas):
    sft = load_tensors(triple["sft"])
    for row in inspect_vector(pair).rows:
        delta = deltas[row.label]
        assert row.measured.norm == pytest.approx(float(delta.norm()), rel=1e-6)
        assert row.measured.density == pytest.approx(float((delta != 0).double().mean()))
        assert row.measured.largest == pytest.approx(float(delta.abs().max()))
        if weight := float(sft[row.label].double().norm()):
            assert row.relative_norm == pytest.approx(float(delta.norm()) / weight, rel=1e-5)
        else:
            assert row.relative_norm is None


def test_a_compact_vector_says_the_same_from_its_head(pair, packed):
    streamed, recorded = inspect_vector(pair), inspect_vector(packed)
    assert recorded.weight == "sft"
    wanted = {row.label: facts(row) for row in streamed.rows}
    assert {row.label: facts(row) for row in recorded.rows} == wanted


def test_groups_add_up(packed, deltas):
    found = inspect_vector(packed)
    whole = sum(float(d.square().sum()) for d in deltas.values()) ** 0.5
    for rows in (found.by_layer(), found.by_kind(), found.by_place(), found.rows):
        assert sum(r.measured.squares for r in rows) ** 0.5 == pytest.approx(whole, rel=1e-9)
    assert [row.label for row in found.by_layer()] == ["0", "1", "outside layers"]
    queries = [d for n, d in deltas.items() if "q_proj.weight" in n]
    row = next(row for row in found.by_kind() if row.label == "self_attn.q_proj")
    assert row.measured.norm == pytest.approx(float(torch.stack(queries).norm()), rel=1e-6)


def test_cosines(pair, packed, triple, deltas, tmp_path):
    other = make_triple(tmp_path / "other", initializer_range=0.05)
    second = open_donors(other["target"], other["sft"])
    extract_dense(second, tmp_path / "dense", shard_size=SHARD_SIZE)
    found = inspect_vector(packed, [pair, open_vector(tmp_path / "dense")])
    flat = torch.cat([d.flatten() for d in deltas.values()])
    target, sft = load_tensors(other["target"]), load_tensors(other["sft"])
    away = torch.cat([(target[n].double() - sft[n].double()).flatten() for n in deltas])
    cosine = float(flat @ away / flat.norm() / away.norm())
    matrix = found.total.cosines
    assert matrix[0][1] == pytest.approx(1)
    assert matrix[0][2] == matrix[2][0] == pytest.approx(cosine, rel=1e-6)
    unmoved = [row for row in found.rows if not row.measured.nonzero]
    assert unmoved
    assert all(row.cosines[0] == [None, None, None] for row in unmoved)


def test_target_and_base(packed, triple, deltas):
    target, base = Checkpoint.open(triple["target"]), Checkpoint.open(triple["sft"])
    found = inspect_vector(packed, target=target, base=base)
    assert found.weight == "target"
    assert found.labels[-1] == "target − base"
    weights = load_tensors(triple["target"]), load_tensors(triple["sft"])
    for row in found.rows:
        if not row.measured.nonzero:
            continue
        delta, away = deltas[row.label], weights[0][row.label].double() - weights[1][row.label]
        norms = float(delta.norm() * away.norm())
        assert row.cosines[0][1] == (
            pytest.approx(float((delta * away).sum()) / norms) if norms else None
        )


def test_vectors_of_another_shape_are_not_compared(packed, donors):
    with pytest.raises(IncompatibleTensorsError, match="disagree on"):
        inspect_vector(packed, [open_donors(*donors)])
