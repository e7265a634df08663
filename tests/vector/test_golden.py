"""The format does not drift: golden files, read by a second reader written from the document.

``python -m tests.vector.test_golden`` writes the newest version's; do so only for a new version.
"""

import hashlib
import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from safetensors import safe_open
from safetensors.torch import save_file

from rvec_merge.errors import CheckpointError
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors, open_vector
from rvec_merge.vector.inspection import inspect_vector
from rvec_merge.vector.read import CompactVector

GOLDEN = [Path(__file__).parent / "golden" / name for name in ("version-1", "version-2")]
ZSTD = (1, 5, 7)  # wrote the golden files; another release may compress to other bytes


def donor_tensors():
    """Donors by integer arithmetic alone, so that no release of a random generator matters."""

    def pair(n, dtype, moved, far):
        mixed = (np.arange(n, dtype=np.uint64) * 2654435761) % (1 << 32)
        low = (0x3C00 + mixed % 512 + ((mixed >> 9) % 2) * 0x8000).astype(np.uint16)
        step = np.where((mixed >> 10) % 100 < moved, 1, 0)
        step = np.where((mixed >> 17) % 100 < far, -300, step)
        high = (low.astype(np.int32) + step).astype(np.uint16)
        return [
            torch.from_numpy(x.view(np.int16)).view(torch.bfloat16).to(dtype) for x in (high, low)
        ]

    blocks = [torch.zeros((1 << 18) + 5, dtype=torch.bfloat16) for _ in range(2)]
    blocks[0][[3, 1 << 18, (1 << 18) + 4]] = torch.tensor([1, -2, 3]).bfloat16()
    thirds = torch.arange(40, dtype=torch.float64) / 3
    return {
        "blocks": blocks,
        "dense": pair(500, torch.bfloat16, 100, 0),
        "empty": pair(0, torch.bfloat16, 0, 0),
        "float32": [thirds.float(), (thirds / (1 + 6 * (torch.arange(40) % 2))).float()],
        "float64": [thirds, thirds / 7],
        "listed": [x.view(20, 50) for x in pair(1000, torch.bfloat16, 20, 3)],
        "scalar": [x[0] for x in pair(1, torch.bfloat16, 100, 0)],
    }


def write(root):
    for side, role in enumerate(("grpo", "sft")):
        (root / role).mkdir(parents=True)
        tensors = {name: pair[side].contiguous() for name, pair in donor_tensors().items()}
        save_file(tensors, root / role / "model.safetensors")
    extract_compact(open_donors(root / "grpo", root / "sft"), root / "v", shard_size=10**9)
    return root / "v"


def second_read(folder, name):
    """A delta's exact values, from docs/vector-format.md alone."""
    content = json.loads((folder / "rvec_vector.json").read_text())
    head = content["tensors"][name]
    with safe_open(folder / head["file"], "np") as file:
        payload = file.get_tensor(name).tobytes()
    width = {"F32": 4, "F64": 8}[head["dtype"]]
    numel = int(np.prod(head["shape"]))
    blocks = -(-numel // 2**18)
    size = 8 * (blocks + 1) + 32 * blocks * (content["version"] == 2)
    end = payload[len(payload) - size :]
    named = payload if content["version"] == 1 else end
    assert hashlib.sha256(named).hexdigest() == head["sha256"]
    table, digests = struct.unpack_from(f"<{blocks + 1}Q", end), end[8 * (blocks + 1) :]
    values = []
    for index in range(blocks):
        block = payload[table[index] : table[index + 1]]
        assert digests[32 * index : 32 * (index + 1)] in (b"", hashlib.sha256(block).digest())
        values += read_block(block, min(2**18, numel - index * 2**18), width)
    return np.frombuffer(b"".join(values), {4: "<f4", 8: "<f8"}[width])


def read_block(block, count, width):
    if not block:
        return [bytes(width)] * count
    kind, tail, zero, stored, listed = struct.unpack_from("<BBHII", block)
    assert zero == 0
    number = (kind == 1) + 2 + {0: 0, 1: 1, 2: width - 2}[tail]
    sizes = struct.unpack_from(f"<{number}I", block, 12)
    at, sections = 12 + 4 * number, []
    for size in sizes:
        sections.append(zstandard.ZstdDecompressor().decompress(block[at : at + size]))
        at += size
    assert at == len(block)
    places = range(count)
    if kind == 1:
        bitmap = sections.pop(0)
        places = [i for i in range(count) if bitmap[i // 8] >> i % 8 & 1]
    planes = [sections.pop(0), sections.pop(0)]
    tails = [bytearray(stored) for _ in range(width - 2)]
    if tail == 1:
        gaps, rest = sections[0][: 4 * listed], sections[0][4 * listed :]
        position = 0
        for i in range(listed):
            position += int.from_bytes(bytes(gaps[i::listed]), "big")
            for k in range(width - 2):
                tails[k][position] = rest[k * listed + i]
    elif tail == 2:
        tails = sections
    planes += tails
    values = [bytes(width)] * count
    for i, place in enumerate(places):
        values[place] = bytes(plane[i] for plane in reversed(planes))
    return values


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda folder: folder.name)
@pytest.mark.parametrize("name", donor_tensors())
def test_golden_files_give_the_exact_difference_to_both_readers(name, golden):
    grpo, sft = donor_tensors()[name]
    wide = torch.float64 if grpo.dtype == torch.float64 else torch.float32
    exact = (grpo.to(wide) - sft.to(wide)).view(-1).numpy()
    assert second_read(golden, name).tobytes() == exact.tobytes()
    source = CompactVector.open(golden).source(name)
    assert source[0 : source.size].tobytes() == exact.tobytes()


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda folder: folder.name)
def test_golden_files_use_every_form(golden):
    forms = set()
    with safe_open(golden / "vector.safetensors", "np") as file:
        for name in file.keys():  # noqa: SIM118 (no mapping)
            forms.add(tuple(file.get_tensor(name)[:2].tolist()))
    assert {(1, 0), (1, 1), (1, 2), (2, 0), (2, 2)} <= forms


@pytest.mark.skipif(zstandard.ZSTD_VERSION != ZSTD, reason="another zstd release")
def test_the_writer_still_writes_the_golden_bytes(tmp_path):
    written = write(tmp_path)
    name = "vector.safetensors"
    assert (written / name).read_bytes() == (GOLDEN[-1] / name).read_bytes()
    heads = [json.loads((f / "rvec_vector.json").read_text()) for f in (written, GOLDEN[-1])]
    now, then = ([t.pop("sft_norm") for t in h["tensors"].values()] for h in heads)
    assert now == pytest.approx(then, rel=1e-6)  # which was once summed in float32
    # In which order squares are added is no part of the format.
    now, then = ([t.pop("norm") for t in (*h["tensors"].values(), h["totals"])] for h in heads)
    assert now == pytest.approx(then, rel=1e-13)
    for part in ("version", "tensors", "totals"):
        assert heads[0][part] == heads[1][part]


def test_both_versions_show_one_vector():
    first, second = (inspect_vector(open_vector(folder)) for folder in GOLDEN)
    assert replace(first, labels=second.labels) == second


def test_the_first_version_is_read_with_a_warning_and_written_again_once_it_is_verified(
    tmp_path, caplog
):
    old = shutil.copytree(GOLDEN[0], tmp_path / "old")
    vector = open_vector(old)
    assert "format version 1" in caplog.text
    extract_compact(vector, tmp_path / "new", shard_size=10**9)
    for name in donor_tensors():
        assert second_read(tmp_path / "new", name).tobytes() == second_read(old, name).tobytes()
    damaged = bytearray((old / "vector.safetensors").read_bytes())
    damaged[vector.compact.payloads["listed"].start + 2] ^= 1
    (old / "vector.safetensors").write_bytes(damaged)
    with pytest.raises(CheckpointError, match="listed is not what was extracted"):
        extract_compact(open_vector(old), tmp_path / "again", shard_size=10**9)


if __name__ == "__main__":
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)  # so that the head's references are relative
        made = write(Path("donors"))
        shutil.rmtree(GOLDEN[-1], ignore_errors=True)
        shutil.copytree(made, GOLDEN[-1])
