"""A compact vector gives the donors' exact difference, by any window, or says what is wrong."""

import json
import shutil
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.merge_tensor import merge_tensor
from rvec_merge.arithmetic.tensors import array_of, numpy_dtype
from rvec_merge.errors import (
    CheckpointError,
    IncompatibleTensorsError,
    NonFiniteError,
    OutputError,
    RecipeError,
    RvecError,
)
from rvec_merge.vector.codec import BLOCK
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors, open_vector
from rvec_merge.vector.read import CompactVector
from tests.vector.conftest import SHARD_SIZE, awkward_tensors, moved, save_donors

TENSORS = awkward_tensors()


def bits(values):
    return (array_of(values) if isinstance(values, torch.Tensor) else values).tobytes()


def exact(name):
    grpo, sft = TENSORS[name]
    wide = torch.float64 if torch.float64 in (grpo.dtype, sft.dtype) else torch.float32
    return (grpo.to(wide) - sft.to(wide)).view(-1)


@pytest.mark.parametrize("name", TENSORS)
def test_the_whole_delta_is_exact(compact, name):
    source = CompactVector.open(compact).source(name)
    assert source.shape == TENSORS[name][0].shape
    assert source.size == TENSORS[name][0].numel()
    assert source.dtype == numpy_dtype(exact(name).dtype)
    assert bits(source[0 : source.size]) == bits(exact(name))


@given(data=st.data(), name=st.sampled_from(["blocks", "dense", "odd", "scalar", "empty"]))
def test_any_window_is_exact(compact, data, name):
    source = CompactVector.open(compact).source(name)
    for _ in range(3):
        start = data.draw(st.integers(0, source.size))
        stop = data.draw(st.integers(start, min(source.size, start + BLOCK)))
        assert bits(source[start:stop]) == bits(exact(name)[start:stop])


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("out_dtype", [torch.bfloat16, torch.float32])
def test_applying_it_gives_the_bits_of_the_donors(compact, name, out_dtype):
    grpo, sft = TENSORS[name]
    target = moved(tuple(grpo.shape), 1.0, torch.bfloat16, torch.bfloat16, 77)[0]
    source = CompactVector.open(compact).source(name)
    for scale in (1.0, -0.3):
        packed = merge_tensor(target, [Delta(source, None, scale)], out_dtype=out_dtype)
        paired = merge_tensor(target, [Delta(grpo, sft, scale)], out_dtype=out_dtype)
        assert bits(packed) == bits(paired)


def test_density_and_controls_see_the_same_delta(compact):
    from rvec_merge.arithmetic.controls import Control

    grpo, sft = TENSORS["blocks"]
    target = moved(tuple(grpo.shape), 1.0, torch.bfloat16, torch.bfloat16, 77)[0]
    for density, control in ((0.1, None), (1.0, Control("permuted", 3, "blocks"))):
        packed, paired = (
            merge_tensor(target, [Delta(plus, minus, 0.5, density, control)])
            for plus, minus in ((CompactVector.open(compact).source("blocks"), None), (grpo, sft))
        )
        assert bits(packed) == bits(paired)


def test_the_head_holds_what_was_measured(compact):
    head = CompactVector.open(compact).head
    for name, record in head.tensors.items():
        delta = exact(name)
        assert record.nonzero == int(
            np.count_nonzero(delta.view(torch.uint8).view(-1, delta.itemsize).numpy().any(1))
        )
        assert record.inexact == int((delta.bfloat16().to(delta.dtype) != delta).sum())
        assert record.norm == pytest.approx(float(delta.double().norm()), rel=1e-12)
        assert record.sft_norm == pytest.approx(float(TENSORS[name][1].double().norm()), rel=1e-5)
        assert record.largest == (float(delta.abs().max()) if delta.numel() else 0)
    assert head.totals.elements == sum(prod(g.shape) for g, _ in TENSORS.values())
    assert head.donors["grpo"].files["model.safetensors"].bytes > 0
    assert head.architecture == "TinyForCausalLM"


def test_one_ulp_counts_neighbours(compact):
    record = CompactVector.open(compact).head.tensors["blocks"]
    grpo, sft = (t.view(torch.int16).int() for t in TENSORS["blocks"])
    assert record.one_ulp == int(((grpo - sft).abs() == 1).sum()) > 1000
    assert CompactVector.open(compact).head.tensors["single"].one_ulp is None


def test_shards_read_as_one_file_does(donors, compact, tmp_path):
    extract_compact(open_donors(*donors), tmp_path / "v", shard_size=200_000)
    files = sorted(p.name for p in (tmp_path / "v").glob("*.safetensors"))
    assert files[0] == f"vector-00001-of-{len(files):05d}.safetensors"
    assert len(files) > 2
    single, several = CompactVector.open(compact), CompactVector.open(tmp_path / "v")
    for name in single.names:
        size = single.source(name).size
        assert bits(several.source(name)[0:size]) == bits(single.source(name)[0:size])
    for path in (tmp_path / "v").glob("*.safetensors"):
        held = [n for n, t in several.head.tensors.items() if t.file == path.name]
        assert path.stat().st_size <= 200_000 or len(held) == 1


def test_extraction_is_reproducible_to_the_byte(donors, compact, tmp_path):
    extract_compact(open_donors(*donors), tmp_path / "again", shard_size=SHARD_SIZE)
    for path in compact.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_a_vector_can_be_packed_again_at_another_level(compact, tmp_path):
    head = extract_compact(open_vector(compact), tmp_path / "v", level=19, shard_size=SHARD_SIZE)
    assert head.donors == CompactVector.open(compact).head.donors
    again = CompactVector.open(tmp_path / "v").source("blocks")
    assert bits(again[0 : again.size]) == bits(exact("blocks"))


@pytest.fixture
def copy(compact, tmp_path):
    shutil.copytree(compact, tmp_path / "copy")
    return tmp_path / "copy"


def edit_head(folder, **changes):
    path = folder / "rvec_vector.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_unknown_version_is_refused(copy):
    edit_head(copy, version=3)
    with pytest.raises(CheckpointError, match=r"version 3; known: 1, 2\nFix: upgrade"):
        CompactVector.open(copy)


@pytest.mark.parametrize("changes", [{"format": "zip"}, {"extra": 1}, {"tensors": []}])
def test_a_malformed_head_is_refused(copy, changes):
    edit_head(copy, **changes)
    with pytest.raises(CheckpointError, match="Fix: "):
        CompactVector.open(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("file", v) for v in ("../vector.safetensors", "/etc/passwd", "model.safetensors")),
        *(("shape", v) for v in ([1 << 61] * 60_000, [1] * 65, [1 << 31, 1 << 31])),
    ],
)
def test_a_file_outside_the_folder_or_a_shape_that_no_tensor_has_is_refused(copy, key, value):
    tensors = json.loads((copy / "rvec_vector.json").read_text())["tensors"]
    tensors["odd"][key] = value
    edit_head(copy, tensors=tensors)
    with pytest.raises(CheckpointError, match=rf"tensors\.odd\.{key}"):
        CompactVector.open(copy)


def test_a_shape_that_the_payload_cannot_hold_is_refused_before_anything_is_allocated(copy):
    tensors = json.loads((copy / "rvec_vector.json").read_text())["tensors"]
    tensors["odd"]["shape"] = [1 << 40]
    edit_head(copy, tensors=tensors)
    with pytest.raises(CheckpointError, match="cannot hold 4194304 blocks"):
        CompactVector.open(copy)


def test_a_missing_payload_is_refused(copy):
    tensors = json.loads((copy / "rvec_vector.json").read_text())["tensors"]
    tensors["other"] = tensors["odd"]
    edit_head(copy, tensors=tensors)
    with pytest.raises(CheckpointError, match="lacks the payload of other"):
        CompactVector.open(copy)


def test_300_damaged_files_never_crash(copy):
    """What is read is exact, or an RvecError says what is wrong."""
    random = np.random.default_rng(0)
    intact = {n: (copy / n).read_bytes() for n in ("vector.safetensors", "rvec_vector.json")}
    refused = 0
    for case in range(300):
        name = "rvec_vector.json" if case % 4 == 0 else "vector.safetensors"
        data = bytearray(intact[name])
        # Half the cases in the header or near it, where most of the structure is.
        at = int(random.integers(len(data) if case % 2 else min(len(data), 4000)))
        if case % 3 == 0:
            del data[at:]
        elif case % 3 == 1:
            data[at] ^= 1 << int(random.integers(8))
        else:
            data[at : at + 8] = random.bytes(8)
        (copy / name).write_bytes(data)
        try:
            vector = CompactVector.open(copy)
            for tensor in vector.names:
                source = vector.source(tensor)
                stop = min(source.size, BLOCK)
                found = bits(source[0:stop])
                changed = vector.head.tensors[tensor].shape != list(TENSORS[tensor][0].shape)
                assert changed or name == "rvec_vector.json" or found == bits(exact(tensor)[0:stop])
            vector.verify()
        except RvecError:
            refused += 1
        (copy / name).write_bytes(intact[name])
    assert refused > 200


def test_a_payload_of_another_vector_is_refused_before_it_is_used(copy, tmp_path):
    CompactVector.open(copy).verify()
    tensors = {**TENSORS, "odd": moved((7, 13), 0.2, torch.bfloat16, torch.bfloat16, 99)}
    other = save_donors(tmp_path / "other", tensors)
    extract_compact(open_donors(*other), tmp_path / "v", shard_size=SHARD_SIZE)
    shutil.copy(tmp_path / "v" / "vector.safetensors", copy)
    with pytest.raises(CheckpointError, match="odd is not what was extracted"):
        CompactVector.open(copy)


def test_a_block_of_another_vector_is_refused_when_it_is_read(copy):
    """Under the right table: what a head cannot see without reading the blocks."""
    vector = CompactVector.open(copy)
    begin, path = vector.payloads["odd"].start, copy / "vector.safetensors"
    data = bytearray(path.read_bytes())
    data[begin + 2] ^= 1  # of the block's header, where zstd's checksums do not reach
    path.write_bytes(data)
    for use in (lambda v: v.source("odd")[0:10], CompactVector.verify):
        with pytest.raises(
            CheckpointError, match=r"odd is not what was extracted.*\n.*\n.*block 0"
        ):
            use(CompactVector.open(copy))
    assert bits(CompactVector.open(copy).source("scalar")[0:1]) == bits(exact("scalar"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_donor_that_is_not_finite_is_named_and_nothing_is_left(tmp_path, value):
    grpo, sft = moved((30, 30), 0.2, torch.bfloat16, torch.bfloat16, 0)
    grpo[3, 4] = value
    folders = save_donors(tmp_path / "donors", {"w": (grpo, sft)})
    with pytest.raises(NonFiniteError, match=r"delta of w .*\n.*\n  grpo: 1 NaN or Inf"):
        extract_compact(open_donors(*folders), tmp_path / "v", shard_size=SHARD_SIZE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["donors"]


def test_an_output_that_exists_is_refused_and_kept(donors, tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "mine").write_text("kept")
    with pytest.raises(OutputError, match="The output exists"):
        extract_compact(open_donors(*donors), tmp_path / "v", shard_size=SHARD_SIZE)
    assert (tmp_path / "v" / "mine").read_text() == "kept"


def test_donors_that_are_no_twins_are_refused(tmp_path):
    pair, other = (moved((4, 4), 0.2, torch.bfloat16, torch.bfloat16, i) for i in (0, 1))
    grpo, sft = save_donors(tmp_path / "a", {"w": pair, "x": (other[0], other[1][:2])})
    _, stranger = save_donors(tmp_path / "b", {"w": pair, "y": other})
    with pytest.raises(IncompatibleTensorsError, match=r"x: grpo \(4, 4\) .* sft \(2, 4\)"):
        open_donors(grpo, sft)
    with pytest.raises(IncompatibleTensorsError, match=r"x: only in grpo\n  y: only in sft"):
        open_donors(grpo, stranger)
    with pytest.raises(RecipeError, match="Both donors are one checkpoint"):
        open_donors(grpo, grpo)
