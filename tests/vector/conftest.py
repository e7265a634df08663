"""Donors of every awkward shape, and the vectors extracted from them."""

import json
import shutil
from hashlib import sha256
from math import prod
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rvec_merge.checkpoint.layout import write_index
from rvec_merge.vector.codec import BLOCK
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors, open_vector

SHARD_SIZE = 5_000_000_000


def save_donors(root: Path, tensors: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> list[Path]:
    """Write ``name: (grpo, sft)`` as two checkpoints; returns their folders, grpo first."""
    folders = []
    for side, name in enumerate(("grpo", "sft")):
        folder = root / name
        folder.mkdir(parents=True)
        save_file({k: v[side] for k, v in tensors.items()}, folder / "model.safetensors")
        (folder / "config.json").write_text('{"architectures": ["TinyForCausalLM"]}')
        folders.append(folder)
    return folders


def as_version_1(folder: Path, out: Path) -> Path:
    """A compact vector as version 1 wrote it: no digests in the tables, and an index."""
    shutil.copytree(folder, out)
    head = json.loads((out / "rvec_vector.json").read_text())
    payloads = load_file(out / "vector.safetensors")
    for name, record in head["tensors"].items():
        blocks = -(-prod(record["shape"]) // BLOCK)
        payloads[name] = payloads[name][: len(payloads[name]) - 32 * blocks].clone()
        record["sha256"] = sha256(payloads[name].numpy().tobytes()).hexdigest()
    save_file(payloads, out / "vector.safetensors", {"format": "rvec-compact", "version": "1"})
    (out / "rvec_vector.json").write_text(json.dumps({**head, "version": 1}))
    write_index(out, dict.fromkeys(payloads, "vector.safetensors"), 0)
    return out


def moved(
    shape: tuple[int, ...], density: float, grpo: torch.dtype, sft: torch.dtype, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """An sft tensor, and one that moved away from it in a share of its elements."""
    generator = torch.Generator().manual_seed(seed)
    start = 0.02 * torch.randn(shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < density
    step = 2e-4 * torch.randn(shape, generator=generator, dtype=torch.float64)
    low = start.to(sft)
    return torch.where(mask, (low.double() + step).to(grpo), low.to(grpo)), low


def awkward_tensors() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Scalars, empty and odd shapes, more than one block, and every mix of dtypes."""
    bf16, f16, f32, f64 = torch.bfloat16, torch.float16, torch.float32, torch.float64
    return {
        "scalar": moved((), 1.0, bf16, bf16, 0),
        "empty": moved((0, 3), 1.0, bf16, bf16, 1),
        "odd": moved((7, 13), 0.2, bf16, bf16, 2),
        "blocks": moved((600, 1001), 0.2, bf16, bf16, 3),
        "dense": moved((300, 1001), 1.0, bf16, bf16, 4),
        "unmoved": moved((64, 64), 0.0, bf16, bf16, 5),
        "half": moved((65, 64), 0.3, f16, f16, 6),
        "single": moved((65, 64), 0.3, f32, f32, 7),
        "mixed": moved((65, 64), 0.3, f32, bf16, 8),
        "double": moved((65, 64), 0.3, f64, f32, 9),
        "signed.zero": (torch.tensor([-0.0, 0.0, 1.0]), torch.tensor([0.0, -0.0, 1.0])),
    }


@pytest.fixture(scope="session")
def donors(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of a grpo and an sft donor with awkward tensors; read-only."""
    return save_donors(tmp_path_factory.mktemp("awkward"), awkward_tensors())


@pytest.fixture(scope="session")
def compact(donors: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The awkward donors' compact vector; read-only."""
    out = tmp_path_factory.mktemp("vectors") / "compact"
    extract_compact(open_donors(*donors), out, shard_size=SHARD_SIZE)
    return out


@pytest.fixture(scope="module")
def pair(triple):
    return open_donors(triple["grpo"], triple["sft"])


@pytest.fixture(scope="module")
def packed(pair, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "v"
    extract_compact(pair, out, shard_size=SHARD_SIZE)
    return open_vector(out)
