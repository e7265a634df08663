"""The compact vector's size against dense bfloat16 and entropy, and its speed against merging.

    python benchmarks/vector.py [--size 0.5b] [--folder FOLDER]

Generates a triple (or takes the one in FOLDER) and runs whole processes, interleaved: `rvec merge`
from the donors, `rvec extract`, and `rvec merge` from the vector. Prints JSON. Speeds are ratios
to merging from the donors, above 1 is faster; "work" leaves out start-up, "CPU" is the time of all
cores, which a busy machine disturbs least. Both merges are compared to the bit.
"""

import argparse
import filecmp
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from generate import SIZES, generate

from rvec_merge.vector.blocks import DeltaReader, in_order, windows
from rvec_merge.vector.codec import Encoder
from rvec_merge.vector.inputs import open_donors

RUNS = 3
RVEC = Path(sys.executable).with_name("rvec")
PAIR = """\
merge_method: reasoning_vector
base_model: {target}
models:
  - model: {grpo}
    parameters: {{role: grpo}}
  - model: {sft}
    parameters: {{role: sft}}
parameters: {{scale: 1.0}}
out_dtype: bfloat16
"""
VECTOR = """\
merge_method: reasoning_vector
base_model: {target}
models:
  - model: {vector}
    parameters: {{role: vector}}
parameters: {{scale: 1.0}}
out_dtype: bfloat16
"""


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="0.5b")
    parser.add_argument("--folder", type=Path, help="holds target, sft and grpo already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        roles = ("target", "sft", "grpo")
        folder = arguments.folder
        triple = {r: folder / r for r in roles} if folder else generate(work, arguments.size)
        return {**sizes(triple, work), **speeds(triple, work)}


def sizes(triple: dict[str, Path], work: Path) -> dict[str, Any]:
    """Bytes of the values' order-0 entropy per tensor, and of the file, at several levels."""
    pair = open_donors(triple["grpo"], triple["sft"])
    reader = DeltaReader(pair)
    encoders = {"default": Encoder(), "zstd-3": Encoder(3)}

    def block(window: Any) -> tuple[Any, list[int]]:
        bits = reader.values(window).numpy().view(np.uint32)
        # The high half alone: what the exact remainder adds to the entropy is left out.
        counts = np.bincount(bits >> 16, minlength=1 << 16)
        return counts, [len(encoder.encode(bits).data) for encoder in encoders.values()]

    counts: dict[str, Any] = {}
    packed = np.zeros(len(encoders))
    for window, (found, lengths) in in_order(block, windows(pair)):
        counts[window.name] = counts.get(window.name, 0) + found
        packed += lengths
    elements = sum(int(c.sum()) for c in counts.values())
    changed = elements - sum(int(c[0]) for c in counts.values())
    bound = sum(_entropy_bytes(c) for c in counts.values())
    named = dict(zip(encoders, packed, strict=True))
    return {
        "elements": elements,
        "density": round(changed / elements, 4),
        "entropy bound, bytes per element": round(bound / elements, 4),
        **{f"{k}, bytes per element": round(n / elements, 4) for k, n in named.items()},
        **{f"{k} / dense bfloat16": round(n / (2 * elements), 4) for k, n in named.items()},
        **{f"{k} / entropy bound": round(n / bound, 3) for k, n in named.items()},
    }


def speeds(triple: dict[str, Path], work: Path) -> dict[str, Any]:
    """Medians over interleaved runs: whole processes, their work after start-up, CPU time."""
    vector = work / "vector"
    pair_recipe, vector_recipe = work / "pair.yaml", work / "vector.yaml"
    pair_recipe.write_text(PAIR.format(**triple))
    vector_recipe.write_text(VECTOR.format(target=triple["target"], vector=vector))
    commands = {
        "merge": ["merge", pair_recipe, work / "merged"],
        "extract": ["extract", pair_recipe, vector],
        "apply": ["merge", vector_recipe, work / "applied"],
    }
    taken: dict[str, list[list[float]]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            shutil.rmtree(command[2], ignore_errors=True)
            taken[name].append(_run([*command, "--json"]))
    file = "model.safetensors"
    same = filecmp.cmp(work / "merged" / file, work / "applied" / file, shallow=False)
    medians = {n: [statistics.median(t) for t in zip(*ts, strict=True)] for n, ts in taken.items()}
    payload = sum(p.stat().st_size for p in vector.glob("*.safetensors"))
    found: dict[str, Any] = {"vector file, bytes": payload, "same bits": same, "runs": RUNS}
    kinds = ("process", "work", "CPU")
    for name, seconds in medians.items():
        for kind, value in zip(kinds, seconds, strict=True):
            found[f"{name}, {kind} seconds"] = round(value, 2)
    for name in ("extract", "apply"):
        for i, kind in enumerate(kinds):
            found[f"{name} / merge speed, {kind}"] = round(
                medians["merge"][i] / medians[name][i], 2
            )
    return found


def _run(command: list[Any]) -> list[float]:
    """Seconds of a whole process, those its own report counts as work, and those of all cores."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run([RVEC, *map(str, command)], capture_output=True, text=True, check=True)
    process = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [process, json.loads(done.stdout)["seconds"], cores]


def _entropy_bytes(counts: Any) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum() * counts.sum() / 8)


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
