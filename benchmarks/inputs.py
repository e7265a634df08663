"""Inputs of other kinds than three plain checkpoints: experts, adapters, very many tensors.

    python benchmarks/inputs.py [--runs 3]

Whole processes, interleaved, page cache warm. A Qwen3-MoE-shaped triple of 3 GB a model, each
expert under names of its own, against the exact built-in; two adapters on a 1.5B-shaped base
against the merge of whole weights; `rvec check` of 10,000 tensors. Takes 14 GB of disk.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from generate import generate
from process import interleave, machine, measure, ratios, spread
from safetensors import safe_open
from safetensors.numpy import save_file

import recipes

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    described = machine()
    lines = [f"`python benchmarks/inputs.py --runs {runs}`: {described}.", ""]
    for part in (experts, adapters, many):
        with tempfile.TemporaryDirectory() as name:
            lines += part(Path(name), runs)
    print("\n".join(lines))


def experts(work: Path, runs: int) -> list[str]:
    """A mixture of experts against mergekit's exact built-in."""
    models = generate(work, "moe-1.5b")
    out = work / "out"
    ours = recipes.write(work, "ours", recipes.REASONING_VECTOR, models)
    exact = recipes.write(work, "exact", recipes.TASK_ARITHMETIC_F32, models)
    commands = {
        "rvec": [recipes.RVEC, "merge", ours, out, "--json"],
        "exact": [recipes.MERGEKIT, exact, out, "--quiet"],
    }
    measure(commands["rvec"], out=out)
    found = interleave(commands, runs, out=out)
    size = (models["target"] / "model.safetensors").stat().st_size / 1e9
    return [
        f"- Qwen3-MoE shapes, 16 experts a layer, {size:.2f} GB per model: "
        f"mergekit task_arithmetic, f32 to bf16, over `rvec merge`: wall "
        f"{ratios(found['exact'], found['rvec'], 'wall')}, cpu "
        f"{ratios(found['exact'], found['rvec'], 'cpu')}; `rvec merge` "
        f"{spread([run.wall for run in found['rvec']])} s, "
        f"{max(run.memory for run in found['rvec']) / 1e9:.2f} GB of anonymous memory"
    ]


def adapters(work: Path, runs: int) -> list[str]:
    """Donors that are adapters on one base, against donors of whole weights."""
    models = generate(work, "1.5b")
    out = work / "out"
    for seed, role in enumerate(("grpo", "sft")):
        _adapter(models["sft"], work / f"{role}-adapter", seed)
    named = {
        "target": models["target"],
        **{role: f"{models['sft']}+{work / f'{role}-adapter'}" for role in ("grpo", "sft")},
    }
    whole = recipes.write(work, "whole", recipes.REASONING_VECTOR, models)
    adapted = recipes.write(work, "adapted", recipes.REASONING_VECTOR, named)
    commands = {
        "whole": [recipes.RVEC, "merge", whole, out, "--json"],
        "adapted": [recipes.RVEC, "merge", adapted, out, "--json"],
    }
    for command in commands.values():
        measure(command, out=out)
    found = interleave(commands, runs, out=out)
    merging = {
        name: [json.loads(run.said)["seconds"] for run in taken] for name, taken in found.items()
    }
    work_ratio = [a / w for a, w in zip(merging["adapted"], merging["whole"], strict=True)]
    return [
        f"- two adapters of rank {RANK} on every layer of a Qwen2.5-1.5B-shaped base, over the "
        f"merge of whole weights: wall {ratios(found['adapted'], found['whole'], 'wall')}, cpu "
        f"{ratios(found['adapted'], found['whole'], 'cpu')}, from the first weight to the rename "
        f"{spread(work_ratio)}; {max(run.memory for run in found['adapted']) / 1e9:.2f} GB of "
        "anonymous memory"
    ]


def many(work: Path, runs: int) -> list[str]:
    """Planning 10,000 tensors."""
    models = generate(work, "10k")
    recipe = recipes.write(work, "recipe", recipes.REASONING_VECTOR, models)
    with safe_open(models["target"] / "model.safetensors", "np") as file:
        count = len(list(file.keys()))
    command = [recipes.RVEC, "check", recipe]
    measure(command)
    found = interleave({"check": command}, runs)["check"]
    return [
        f"- `rvec check` of {count:,} tensors: {spread([run.wall for run in found])} s, "
        f"{spread([run.cpu for run in found])} CPU s"
    ]


def _adapter(base: Path, folder: Path, seed: int) -> None:
    """Random factors on every linear module of the layers, as PEFT saves them."""
    random = np.random.default_rng(seed)
    tensors = {}
    with safe_open(base / "model.safetensors", "np") as file:
        for name in file.keys():  # noqa: SIM118 (no mapping)
            module = name.removesuffix(".weight")
            if not name.endswith(".weight") or not module.endswith(LAYERS):
                continue
            rows, columns = file.get_slice(name).get_shape()
            for side, shape in (("A", (RANK, columns)), ("B", (rows, RANK))):
                values = 0.01 * random.standard_normal(shape, dtype=np.float32)
                tensors[f"base_model.model.{module}.lora_{side}.weight"] = values
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": list(LAYERS),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    sys.exit(main())
