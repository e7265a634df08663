"""The recipes of the embedded family, run by the very commands in their headers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rvec_merge.recipe.catalog import bundled

ROOT = Path(__file__).resolve().parents[2]
RECIPES = {r.name: r for r in bundled() if r.target.startswith("demo/family")}


@pytest.fixture(scope="module")
def merge(tmp_path_factory, header_fields):
    """Run a recipe's header once, in a folder that stands for the checkout; return its tensors."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("demo", "recipes"):
        (place / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    merged = {}

    def run(name):
        if name not in merged:
            fields = header_fields(RECIPES[name])
            for command in filter(None, (fields.get("First"), fields["Run"])):
                done = subprocess.run(
                    ["bash", "-euc", command],
                    cwd=place,
                    env=environment,
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, done.stderr[-2000:]
            merged[name] = tensors(place / "out" / name.rpartition("/")[2])
        return merged[name]

    return run


def tensors(folder):
    found = {}
    for file in folder.glob("*.safetensors"):
        found.update(load_file(file))
    return found


@pytest.fixture(scope="module")
def target():
    return tensors(ROOT / "demo/family/target")


@pytest.fixture(scope="module")
def vector():
    return reasoning_vector("demo/family")


def reasoning_vector(folder):
    sft = tensors(ROOT / folder / "sft")
    return {n: t.float() - sft[n].float() for n, t in tensors(ROOT / folder / "grpo").items()}


def added(target, vector, scale):
    """``target + scale · vector`` in float32; ``scale`` is a function of the tensor's name."""
    return {n: t.float() + scale(n) * vector[n] for n, t in target.items()}


def assert_same_bits(merged, reference):
    assert merged.keys() == reference.keys()
    assert [n for n, t in reference.items() if not torch.equal(merged[n], t)] == []


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_merges_in_its_stated_dtype(name, merge, target):
    merged = merge(name)
    stated = torch.bfloat16 if name == "subtract" else torch.float32
    assert {tensor.dtype for tensor in merged.values()} == {stated}
    assert {n: t.shape for n, t in merged.items()} == {n: t.shape for n, t in target.items()}


def test_tiny_is_target_plus_half_the_vector(merge, target, vector):
    assert_same_bits(merge("tiny"), added(target, vector, lambda name: 0.5))


def test_subtract_is_target_minus_the_vector(merge, target, vector):
    reference = added(target, vector, lambda name: -1.0)
    assert_same_bits(merge("subtract"), {n: t.bfloat16() for n, t in reference.items()})


def test_attention_only_leaves_the_rest_alone(merge, target, vector):
    mask = added(target, vector, lambda name: 0.5 if "self_attn" in name else 0.0)
    assert_same_bits(merge("attention-only"), mask)


def test_late_layers_moves_the_later_half_alone(merge, target, vector):
    late = (".layers.2.", ".layers.3.")
    mask = added(target, vector, lambda name: 0.5 if any(x in name for x in late) else 0.0)
    assert_same_bits(merge("late-layers"), mask)


def test_two_pairs_add_up(merge, target, vector):
    one = added(target, vector, lambda name: 0.5)
    both = added(one, reasoning_vector("demo/family/other-init"), lambda name: 0.25)
    assert_same_bits(merge("two-pairs"), both)


def test_from_vector_has_the_bits_of_tiny(merge):
    assert_same_bits(merge("from-vector"), merge("tiny"))


@pytest.mark.parametrize("kind", ["random", "permuted"])
def test_controls_are_as_long_as_the_vector_and_point_elsewhere(kind, merge, target, vector):
    merged = merge(f"controls/{kind}")
    moved = torch.cat([(merged[n] - t.float()).flatten() for n, t in target.items()])
    wanted = torch.cat([0.5 * vector[n].flatten() for n in target])
    assert moved.norm().item() == pytest.approx(wanted.norm().item(), rel=1e-3)
    assert torch.cosine_similarity(moved, wanted, dim=0).abs() < 0.05
