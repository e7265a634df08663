"""A dense vector is an ordinary checkpoint: stock mergekit merges it to the pair's own bits."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rvec_merge.arithmetic.dtypes import BFLOAT16, FLOAT32, FLOAT64
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import IncompatibleTensorsError
from rvec_merge.vector.dense import extract_dense
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors, open_vector
from tests.conftest import RECIPE, load_tensors
from tests.vector.conftest import SHARD_SIZE, moved, save_donors

VECTOR_RECIPE = """\
merge_method: reasoning_vector
base_model: {target}
models:
  - model: {vector}
    parameters: {{role: vector}}
parameters:
  scale: {scale}
out_dtype: {out_dtype}
"""


def extract(source, out, **options):
    return extract_dense(source, out, **{"shard_size": SHARD_SIZE, **options})


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_stock_mergekit_gives_the_bits_of_the_pair(triple, tmp_path, stock_merge, scale):
    vector = tmp_path / "vector"
    report = extract(open_donors(triple["grpo"], triple["sft"]), vector)
    assert report.dtype == FLOAT32
    assert report.inexact == report.residual == 0
    settings = {"target": triple["target"], "scale": scale, "out_dtype": "bfloat16"}
    paired = stock_merge(RECIPE.format(grpo=triple["grpo"], sft=triple["sft"], **settings))
    dense = stock_merge(VECTOR_RECIPE.format(vector=vector, **settings))
    wanted, found = load_tensors(paired), load_tensors(dense)
    assert wanted.keys() == found.keys()
    for name in wanted:
        assert torch.equal(wanted[name].view(torch.int16), found[name].view(torch.int16)), name


def test_transformers_loads_it(triple, tmp_path):
    from transformers import AutoModelForCausalLM

    extract(open_donors(triple["grpo"], triple["sft"]), tmp_path / "v", shard_size=30_000)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "v")
    assert model.dtype == torch.float32
    found, (grpo, sft) = model.state_dict(), (load_tensors(triple[r]) for r in ("grpo", "sft"))
    for name in grpo:
        assert torch.equal(found[name], grpo[name].float() - sft[name].float())


def test_shards_have_an_index_that_a_checkpoint_reads(triple, tmp_path):
    pair = open_donors(triple["grpo"], triple["sft"])
    extract(pair, tmp_path / "v", shard_size=30_000)
    index = json.loads((tmp_path / "v" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    checkpoint = Checkpoint.open(tmp_path / "v")
    assert checkpoint.tensors.keys() == pair.shapes.keys()
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in checkpoint.tensors.values())


def test_bfloat16_is_taken_where_it_is_exact(tmp_path):
    grpo = torch.tensor([1.0, 1.5, 0.0]).bfloat16()
    folders = save_donors(tmp_path / "d", {"w": (grpo, torch.tensor([1.0, 1.0, 0.0]).bfloat16())})
    assert extract(open_donors(*folders), tmp_path / "v").dtype == BFLOAT16
    assert load_tensors(tmp_path / "v")["w"].tolist() == [0.0, 0.5, 0.0]


def test_float64_donors_give_a_float64_vector(tmp_path):
    pair = moved((8, 8), 0.5, torch.float64, torch.float64, 0)
    folders = save_donors(tmp_path / "d", {"w": pair})
    assert extract(open_donors(*folders), tmp_path / "v").dtype == FLOAT64
    assert torch.equal(load_tensors(tmp_path / "v")["w"], pair[0] - pair[1])


def test_a_dtype_that_rounds_says_how_much(donors, tmp_path):
    report = extract(open_donors(*donors), tmp_path / "v", dtype=BFLOAT16)
    lost = squares = inexact = 0.0
    found = load_tensors(tmp_path / "v")
    (plus, minus) = (load_tensors(d) for d in donors)
    for name in found:
        exact = plus[name].double() - minus[name].double()
        lost += float((exact - found[name].double()).square().sum())
        squares += float(exact.square().sum())
        inexact += int((exact != found[name].double()).sum())
    assert report.inexact == pytest.approx(inexact, rel=0.01)
    assert report.residual == pytest.approx((lost / squares) ** 0.5, rel=1e-4)
    recorded = json.loads((tmp_path / "v" / "rvec_extract.json").read_text())
    assert recorded["relative_residual"] == report.residual
    assert recorded["donors"]["sft"]["reference"] == str(donors[1])


def test_a_compact_vector_becomes_the_same_dense_one(donors, compact, tmp_path):
    extract(open_donors(*donors), tmp_path / "a")
    extract(open_vector(compact), tmp_path / "b")
    a, b = ((tmp_path / n / "model.safetensors") for n in "ab")
    # The tensors are those of the donors, in an order of their own.
    found, wanted = load_tensors(b.parent), load_tensors(a.parent)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert found.keys() == wanted.keys()


def test_and_back(triple, tmp_path):
    extract(open_donors(triple["grpo"], triple["sft"]), tmp_path / "dense")
    extract_compact(open_vector(tmp_path / "dense"), tmp_path / "c", shard_size=SHARD_SIZE)
    vector, dense = open_vector(tmp_path / "c"), load_tensors(tmp_path / "dense")
    for name, shape in vector.shapes.items():
        source = vector.delta(name).plus
        assert np.array_equal(source[0 : source.size].reshape(shape), dense[name].numpy())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int64])
def test_what_cannot_be_subtracted_is_refused(tmp_path, dtype):
    for role in ("grpo", "sft"):
        save_donors_of(tmp_path / role, torch.ones(8, 8).to(dtype))
    with pytest.raises(IncompatibleTensorsError, match="16 bits"):
        open_donors(tmp_path / "grpo", tmp_path / "sft")
    with pytest.raises(IncompatibleTensorsError, match="no differences"):
        open_vector(tmp_path / "grpo")


def save_donors_of(folder, tensor):
    folder.mkdir()
    save_file({"w": tensor}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
