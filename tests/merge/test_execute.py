"""The engine's parts: layout, blocks, effect, devices."""

import math
import os
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rvec_merge.arithmetic import loop
from rvec_merge.arithmetic.effect import BUDGET, STRIP, Sample, Sums, combine
from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.merge_tensor import merge_tensor
from rvec_merge.arithmetic.tensors import numpy_dtype
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.layout import lay_out, write_index
from rvec_merge.errors import CheckpointError, NonFiniteError
from rvec_merge.merge import execute as engine
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.merge_plan import MergePlan
from rvec_merge.plan.tensors import PlannedTensor, Stored
from tests.conftest import load_tensors

CPU = "cpu"
SHARED = {"scale": 0.7, "density": 1.0, "control": "none", "seed": 0}


def save(folder: Path, tensors: dict[str, torch.Tensor]) -> Input:
    from safetensors.torch import save_file

    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    return Input(folder.name, folder, Checkpoint.open(folder))


def plan(root: Path, triples: dict[str, tuple[torch.Tensor, ...]], dtype, **shared) -> MergePlan:
    """A plan over generated checkpoints, without mergekit."""
    models = {
        role: save(root / role, {name: tensors[i] for name, tensors in triples.items()})
        for i, role in enumerate(("target", "grpo", "sft"))
    }
    parameters = {
        **SHARED,
        **shared,
        "role": {"grpo": "grpo", "sft": "sft"},
        "pair": {"grpo": "default", "sft": "default"},
        "weight": {"grpo": None, "sft": None},
    }
    tensors = tuple(
        PlannedTensor(
            name,
            tuple(values[0].shape),
            numpy_dtype(dtype),
            {role: Stored(models[role], name, None) for role in models},
            "target",
            parameters,
        )
        for name, values in triples.items()
    )
    return MergePlan(tensors, models, {})


def run(root: Path, made: MergePlan, shard_size=0, workers=2):
    out = root / "out"
    out.mkdir()
    shards = lay_out(made.tensors, shard_size)
    effect = engine.execute(made, shards, out, device=CPU, workers=workers)
    if len(shards) > 1:
        files = {name: shard.name for shard in shards for name in shard.offsets}
        write_index(out, files, made.nbytes)
    return load_tensors(out), effect


SHAPES = st.lists(st.integers(0, 9), max_size=3).map(tuple)


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(SHAPES, min_size=1, max_size=4),
    block=st.integers(1, 50),
    shard_size=st.integers(0, 200),
    out_dtype=st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
    seed=st.integers(0, 9),
)
def test_any_shape_block_and_shard_size(
    tmp_path_factory, shapes, block, shard_size, out_dtype, seed
):
    root = tmp_path_factory.mktemp("shapes")
    generator = torch.Generator().manual_seed(seed)
    triples = {
        f"t{i}": tuple(torch.randn(shape, generator=generator).bfloat16() for _ in range(3))
        for i, shape in enumerate(shapes)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "BLOCK", block)
        patch.setattr(engine, "_BLOCKS_PER_TASK", 3)
        found, _ = run(root, plan(root, triples, out_dtype), shard_size)
    assert found.keys() == triples.keys()
    for name, (target, grpo, sft) in triples.items():
        wanted = merge_tensor(target, [Delta(grpo, sft, 0.7)], out_dtype=out_dtype)
        assert found[name].shape == wanted.shape
        assert found[name].dtype == wanted.dtype
        assert torch.equal(found[name], wanted)
    sizes = [path.stat().st_size for path in (root / "out").glob("*.safetensors")]
    assert len(sizes) == 1 or shard_size > 0


@pytest.mark.parametrize("fallocate", [True, False])
def test_a_single_file_is_what_the_safetensors_library_writes(tmp_path, monkeypatch, fallocate):
    from safetensors.torch import save_file

    if not fallocate:  # as on macOS
        monkeypatch.delattr(os, "posix_fallocate")
    names = ["model.layers.10.x", "model.layers.2.x", "ü", "a"]
    triples = {n: tuple(torch.randn(3, 5) for _ in range(3)) for n in names}
    found, _ = run(tmp_path, plan(tmp_path, triples, torch.bfloat16))
    save_file(found, tmp_path / "library.safetensors", metadata={"format": "pt"})
    ours = (tmp_path / "out" / "model.safetensors").read_bytes()
    assert ours == (tmp_path / "library.safetensors").read_bytes()


@pytest.mark.parametrize("role", [0, 1, 2])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("shared", [{}, {"scale": 0.0}, {"density": 0.5}])
def test_what_is_not_finite_is_named(tmp_path, role, bad, shared):
    tensors = [torch.randn(40, 7) for _ in range(3)]
    tensors[role][31, 3] = bad
    made = plan(tmp_path, {"fine": (torch.ones(4),) * 3, "w": tuple(tensors)}, torch.float32)
    made.tensors[1].parameters.update(shared)
    with pytest.raises(NonFiniteError) as caught:
        run(tmp_path, made)
    assert "w is not finite" in str(caught.value)
    assert f"{('target', 'grpo', 'sft')[role]}: 1 of 280" in str(caught.value)


def test_a_file_cut_short_after_planning_is_an_error(tmp_path):
    made = plan(tmp_path, {"w": tuple(torch.randn(300, 300) for _ in range(3))}, torch.float32)
    os.truncate(tmp_path / "sft" / "model.safetensors", 50_000)
    with pytest.raises(CheckpointError, match="ends early"):
        run(tmp_path, made)


def test_the_effect_is_that_of_the_whole_tensor(tmp_path):
    target = torch.randn(64, 64).bfloat16()
    sft = torch.randn(64, 64).bfloat16()
    grpo = (sft.float() + 3e-3 * torch.randn(64, 64) * (torch.rand(64, 64) < 0.3)).bfloat16()
    made = plan(tmp_path, {"w": (target, grpo, sft)}, torch.bfloat16)
    found, effect = run(tmp_path, made)
    v = grpo.double() - sft.double()
    applied = found["w"].double() - target.double()
    wanted = float((applied * v).sum() / (v * v).sum())
    assert effect.effective_scale == pytest.approx(wanted, rel=1e-12)
    assert effect.scale == pytest.approx(0.7, rel=1e-6)
    assert effect.density == pytest.approx(float((v != 0).double().mean()))
    assert effect.lost == pytest.approx(float((applied[v != 0] == 0).double().mean()))
    assert effect.relative_norm == pytest.approx(float(v.norm() / target.double().norm()))
    assert effect.elements == 64 * 64


def test_a_vector_of_zeros_has_no_effect(tmp_path):
    weight = torch.randn(8)
    _, effect = run(tmp_path, plan(tmp_path, {"w": (weight, weight, weight)}, torch.float32))
    assert effect is None


@given(
    period=st.integers(1, 40),
    elements=st.integers(1, 100 * STRIP),
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
)
def test_the_sample_is_the_same_however_the_tensor_is_cut(period, elements, cuts):
    sample = Sample(period)
    whole = list(sample.strips("w", elements, 0, elements))
    edges = [0]
    while edges[-1] < elements:  # blocks are whole strips
        edges.append(min(edges[-1] + cuts[len(edges) % len(cuts)] * STRIP, elements))
    pieces = [sample.strips("w", elements, a, b) for a, b in pairwise(edges)]
    assert [start for piece in pieces for start in piece] == whole
    strips = -(-elements // STRIP)
    assert max(1, strips // period) <= len(whole) <= -(-strips // period)
    assert set(whole) <= set(range(0, elements, STRIP))


def test_small_models_are_measured_whole_and_large_ones_within_a_budget():
    assert Sample.of(BUDGET).period == 1
    assert Sample.of(BUDGET * 100).period == 100


def test_sums_weigh_tensors_by_their_elements():
    one = Sums(vv=1, tt=4, asked=1, applied=0.5, elements=10, nonzero=5, lost=1)
    effect = combine([(100, [one]), (20, [one, one]), (7, [])])
    assert effect.effective_scale == 0.5
    assert effect.density == 0.5
    assert effect.elements == 30


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("shared", [{}, {"density": 0.4}, {"control": "random"}])
def test_cuda_has_the_bits_of_the_cpu(tmp_path, shared):
    triples = {"w": tuple(torch.randn(3001, 3001).bfloat16() for _ in range(3))}
    made = plan(tmp_path, triples, torch.bfloat16, **shared)
    shards = lay_out(made.tensors, 0)
    for name in ("cpu", "cuda"):
        (tmp_path / name).mkdir()
        engine.execute(made, shards, tmp_path / name, device=name, workers=2)
    assert torch.equal(load_tensors(tmp_path / "cpu")["w"], load_tensors(tmp_path / "cuda")["w"])
