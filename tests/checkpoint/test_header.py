"""Checkpoints from strangers: what headers and indices may say, and what they must not cost."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rvec_merge.arithmetic.tensors import numpy_dtype
from rvec_merge.checkpoint import header as checkpoint
from rvec_merge.checkpoint.header import HEADER_LIMIT, MOST_TENSORS, Checkpoint
from rvec_merge.errors import CheckpointError


def write(path: Path, header: object, data: bytes = b"", *, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(low: int, high: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [low, high]}


def test_reads_what_the_library_writes(tmp_path):
    tensors = {
        "a": torch.ones(2, 3, dtype=torch.bfloat16),
        "scalar": torch.tensor(1.0),
        "empty": torch.empty(0, 4),
        "ids": torch.arange(5),
    }
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    opened = Checkpoint.open(tmp_path)
    assert opened.metadata == {"format": "pt"}
    assert set(opened.tensors) == set(tensors)
    raw = (tmp_path / "model.safetensors").read_bytes()
    for name, tensor in tensors.items():
        info = opened.tensors[name]
        assert (info.dtype, info.shape) == (numpy_dtype(tensor.dtype), tuple(tensor.shape))
        assert (
            raw[info.start :][: info.nbytes] == tensor.view(-1).view(torch.uint8).numpy().tobytes()
        )


MALFORMED = {
    "empty file": lambda p: p.write_bytes(b""),
    "seven bytes": lambda p: p.write_bytes(b"1234567"),
    "header beyond the file": lambda p: write(p, {}, length=1000),
    "header over the limit": lambda p: write(p, b"{}".ljust(HEADER_LIMIT + 1)),
    "header of 2^64-1": lambda p: write(p, {}, length=(1 << 64) - 1),
    "no JSON": lambda p: write(p, b"{"),
    "no UTF-8": lambda p: write(p, b'{"\xff": 1}'),
    "a list": lambda p: write(p, []),
    "deep nesting": lambda p: write(p, b"[" * 100_000),
    "metadata that is no text": lambda p: write(p, {"__metadata__": {"a": 1}}),
    "metadata that is no object": lambda p: write(p, {"__metadata__": ""}),
    "metadata with a lone surrogate": lambda p: write(p, {"__metadata__": {"a": "\ud800"}}),
    "a name twice": lambda p: write(
        p, b'{"a":%s,"a":%s}' % ((json.dumps(entry(0, 4, [1])).encode(),) * 2), b"0000"
    ),
    "no shape": lambda p: write(p, {"a": {"dtype": "F32", "data_offsets": [0, 4]}}, b"0000"),
    "overlap": lambda p: write(p, {"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, b"0000"),
    "gap": lambda p: write(p, {"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, b"0" * 12),
    "beyond the end": lambda p: write(p, {"a": entry(0, 8, [2])}, b"0000"),
    "bytes left over": lambda p: write(p, {"a": entry(0, 4, [1])}, b"0" * 8),
    "shape and bytes": lambda p: write(p, {"a": entry(0, 4, [2])}, b"0000"),
    "negative offset": lambda p: write(p, {"a": entry(-4, 0, [1])}, b"0000"),
    "negative shape": lambda p: write(p, {"a": entry(0, 4, [-1, -1])}, b"0000"),
    "boolean shape": lambda p: write(p, {"a": entry(0, 4, [True])}, b"0000"),
    "float shape": lambda p: write(p, {"a": entry(0, 4, [1.0])}, b"0000"),
    "overflowing shape": lambda p: write(p, {"a": entry(0, 0, [1 << 62, 1 << 62, 4])}),
    "a lone surrogate": lambda p: write(p, {"\ud800": entry(0, 4, [1])}, b"0000"),
    "huge numbers": lambda p: write(p, {"a": entry(0, 4, [10**4000] * 60)}, b"0000"),
    "a million dimensions": lambda p: write(p, {"a": entry(0, 4, [1] * 1_000_000)}, b"0000"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_header_is_a_three_part_error(name, tmp_path):
    MALFORMED[name](tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"not a readable safetensors(.|\n)*Fix: fetch"):
        Checkpoint.open(tmp_path)


def test_too_many_tensors_are_refused_before_they_are_parsed(tmp_path):
    write(tmp_path / "model.safetensors", b"{" * (MOST_TENSORS + 3))  # no JSON, either
    with pytest.raises(CheckpointError, match="too many tensors"):
        Checkpoint.open(tmp_path)


def test_too_many_tensors_in_all_shards_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MOST_TENSORS", 10)
    for shard in "ab":
        tensors = {f"{shard}{number}": torch.ones(1) for number in range(6)}
        save_file(tensors, tmp_path / f"{shard}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a1": "a.safetensors"}}')
    assert len(Checkpoint.open(tmp_path).tensors) == 6
    index.write_text('{"weight_map": {"a1": "a.safetensors", "b1": "b.safetensors"}}')
    with pytest.raises(CheckpointError, match="too many tensors"):
        Checkpoint.open(tmp_path)


def test_a_vast_index_is_not_read(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    os.truncate(tmp_path / "model.safetensors.index.json", 1 << 40)  # takes no room
    with pytest.raises(CheckpointError, match=r"cannot be read(.|\n)*are the most"):
        Checkpoint.open(tmp_path)


def test_an_unknown_dtype_is_named(tmp_path):
    write(tmp_path / "model.safetensors", {"a": entry(0, 4, [1], "F4_X9")}, b"0000")
    with pytest.raises(CheckpointError, match="a has a dtype that cannot be merged"):
        Checkpoint.open(tmp_path)


INDICES = {
    "no JSON": ("{", "cannot be read"),
    "a list": ("[]", "holds no JSON object"),
    "no weight_map": ("{}", "has no weight_map"),
    "numbers": ('{"weight_map": {"a": 1}}', "has no weight_map"),
    "a parent": ('{"weight_map": {"a": "../a.safetensors"}}', "leaves the checkpoint's folder"),
    "absolute": ('{"weight_map": {"a": "/etc/passwd"}}', "leaves the checkpoint's folder"),
    "backslash": ('{"weight_map": {"a": "..\\\\a"}}', "leaves the checkpoint's folder"),
    "NUL": ('{"weight_map": {"a": "a\\u0000b"}}', "leaves the checkpoint's folder"),
    "dots": ('{"weight_map": {"a": ".."}}', "leaves the checkpoint's folder"),
    "endless": ('{"weight_map": {"a": "%s"}}' % ("a" * 5000), "shard that the index names"),
    "absent shard": ('{"weight_map": {"a": "b.safetensors"}}', "shard that the index names"),
    "absent tensor": ('{"weight_map": {"x": "a.safetensors"}}', "lacks 1 of the tensors"),
    "a pickle": ('{"weight_map": {"a": "a.bin"}}', "names a pickled file"),
}


@pytest.mark.parametrize("name", INDICES)
def test_a_malformed_index_is_refused(name, tmp_path):
    text, said = INDICES[name]
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    torch.save({"a": torch.ones(1)}, tmp_path / "a.bin")
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=said):
        Checkpoint.open(tmp_path)


def test_shards_linked_from_elsewhere_are_read(tmp_path):
    """The Hub's cache links its files to a shared store."""
    root, blobs = (tmp_path / "models--a--b" / name for name in ("snapshots/c", "blobs"))
    root.mkdir(parents=True)
    blobs.mkdir()
    save_file({"a": torch.ones(1)}, blobs / "hash")
    (root / "a.safetensors").symlink_to("../../blobs/hash")
    index = {"weight_map": {"a": "a.safetensors"}}
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    assert list(Checkpoint.open(root).tensors) == ["a"]
