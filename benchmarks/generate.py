"""Generate a target and two sequential donors with the shapes of Qwen2.5 and realistic sparsity.

    python benchmarks/generate.py FOLDER --size 0.5b

writes FOLDER/{target,sft,grpo}. The SFT donor and the target are small dense steps away from one
base. The GRPO donor is a step of Adam-like, size-independent updates away from the SFT donor,
rounded to bfloat16: most of it rounds away, and about the given share of elements changes, mostly
by one representable step, as in published RL checkpoints (arXiv:2505.11711, arXiv:2511.08567).
"""

import argparse
import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rvec_merge.arithmetic.dtypes import BFLOAT16
from rvec_merge.checkpoint.layout import Shard, lay_out
from rvec_merge.plan.tensors import PlannedTensor

ROLES = ("target", "sft", "grpo")
BLOCK = 1 << 20  # elements
WEIGHT_STD = 0.02
DENSE_STEP = 0.02  # of a weight's standard deviation, from the base to SFT and to the target
# Standard deviation of the RL update, as a share of the weight's, per share of changed elements.
SPARSE_STEP = 4.4e-3
POOL = 1 << 24  # normal numbers, drawn once and read from random places on
TOKENIZER = Path(__file__).resolve().parent.parent / "demo" / "family" / "target"


@dataclass(frozen=True)
class Size:
    """The dimensions of one model, in transformers' words."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int = 151936
    experts: int = 0

    @property
    def config(self) -> Any:
        """transformers' config; with experts, a mixture of them in every layer."""
        from transformers import Qwen2Config, Qwen3MoeConfig

        settings = {
            **{name: value for name, value in vars(self).items() if name != "experts"},
            "tie_word_embeddings": True,
            "dtype": "bfloat16",
        }
        if not self.experts:
            return Qwen2Config(architectures=["Qwen2ForCausalLM"], **settings)
        return Qwen3MoeConfig(
            architectures=["Qwen3MoeForCausalLM"],
            num_experts=self.experts,
            num_experts_per_tok=2,
            moe_intermediate_size=self.intermediate_size,
            head_dim=self.hidden_size // self.num_attention_heads,
            **settings,
        )


SIZES = {
    "0.03b": Size(384, 8, 6, 2, 1536, 32000),
    "0.5b": Size(896, 24, 14, 2, 4864),
    "1.5b": Size(1536, 28, 12, 2, 8960),
    "3b": Size(2048, 36, 16, 2, 11008),
    "7b": Size(3584, 28, 28, 4, 18944, 152064),
    "moe-1.5b": Size(1024, 14, 16, 4, 2048, experts=16),
    "10k": Size(16, 834, 2, 1, 16, 2048),
}


def generate(
    folder: Path, size: str, *, density: float = 0.2, seed: int = 0, sparse: bool = False
) -> dict[str, Path]:
    """Write a triple under ``folder``; returns the folder of each role.

    Memory: some blocks, whatever the size.

    Args:
        sparse: headers alone; the weights are zeros that take no disk.
    """
    config = SIZES[size].config
    shapes = _shapes(config)
    folders = {role: folder / role for role in ROLES}
    for path in folders.values():
        path.mkdir(parents=True)
        config.save_pretrained(path)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(TOKENIZER / file, path / file)
    planned = [PlannedTensor(n, s, BFLOAT16, {}, None, {}) for n, s in shapes.items()]
    (shard,) = lay_out(planned, 0)
    if sparse:
        for path in folders.values():
            (path / shard.name).write_bytes(shard.header)
            os.truncate(path / shard.name, shard.size)
    else:
        _write(folders, shard, shapes, density, seed)
    return folders


def found_or_generated(folder: Path | None, work: Path, size: str) -> dict[str, Path]:
    """The triple that lies in ``folder``; a new one under ``work`` where none is named."""
    return {role: folder / role for role in ROLES} if folder else generate(work, size)


def _shapes(config: Any) -> dict[str, tuple[int, ...]]:
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return {
        part: tuple(shape)
        for name, weight in model.state_dict().items()
        if name != "lm_head.weight"  # tied
        for part, shape in _stored(name, tuple(weight.shape))
    }


def _stored(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A parameter as checkpoints store it: each expert's by itself."""
    place, _, leaf = name.rpartition(".")
    if not place.endswith(".experts"):
        yield name, shape
        return
    parts = ("gate_proj", "up_proj") if leaf == "gate_up_proj" else (leaf,)
    for expert in range(shape[0]):
        for part in parts:
            yield f"{place}.{expert}.{part}.weight", (shape[1] // len(parts), shape[2])


def _write(
    folders: Mapping[str, Path],
    shard: Shard,
    shapes: Mapping[str, tuple[int, ...]],
    density: float,
    seed: int,
) -> None:
    draws = _Draws(seed)
    files = {role: (path / shard.name).open("wb") for role, path in folders.items()}
    for file in files.values():
        file.write(shard.header)
    for name in shard.offsets:
        for count in _blocks(shapes[name]):
            for role, values in _block(name, count, density, draws).items():
                files[role].write(values.view(torch.uint8).numpy().data)
    for file in files.values():
        file.close()


def _blocks(shape: tuple[int, ...]) -> Iterator[int]:
    left = torch.Size(shape).numel()
    while left:
        yield min(left, BLOCK)
        left -= min(left, BLOCK)


def _block(name: str, count: int, density: float, draws: "_Draws") -> dict[str, torch.Tensor]:
    base = draws.normal(count, WEIGHT_STD)
    if "norm" in name:
        base += 1
    sft = (base + draws.normal(count, DENSE_STEP * WEIGHT_STD)).bfloat16()
    return {
        "target": (base + draws.normal(count, DENSE_STEP * WEIGHT_STD)).bfloat16(),
        "sft": sft,
        "grpo": (sft + draws.normal(count, SPARSE_STEP * density * WEIGHT_STD)).bfloat16(),
    }


class _Draws:
    """Normal numbers, fast: slices of one pool, each from a random place."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._pool = torch.empty(POOL).normal_(generator=torch.Generator().manual_seed(seed))

    def normal(self, count: int, std: float) -> torch.Tensor:
        start = self._random.randrange(POOL - count)
        return self._pool[start : start + count] * std


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, default="0.5b")
    parser.add_argument("--density", type=float, default=0.2)
    arguments = parser.parse_args()
    start = time.perf_counter()
    folders = generate(arguments.folder, arguments.size, density=arguments.density)
    found = {role: str(path) for role, path in folders.items()}
    print(json.dumps({**found, "seconds": round(time.perf_counter() - start, 1)}))


if __name__ == "__main__":
    main()
