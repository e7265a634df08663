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
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from generate import SIZES, found_or_generated
from process import Measured, interleave

import recipes
from rvec_merge.vector.blocks import DeltaReader, in_order, windows
from rvec_merge.vector.codec import Encoder
from rvec_merge.vector.inputs import open_donors

RUNS = 3


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="0.5b")
    parser.add_argument("--folder", type=Path, help="holds target, sft and grpo already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        triple = found_or_generated(arguments.folder, work, arguments.size)
        return {**sizes(triple, work), **speeds(triple, work)}


def sizes(triple: dict[str, Path], work: Path) -> dict[str, Any]:
    """Bytes of the values' order-0 entropy per tensor, and of the file, at several levels."""
    pair = open_donors(triple["grpo"], triple["sft"])
    reader = DeltaReader(pair)
    encoders = {"default": Encoder(), "zstd-3": Encoder(3)}

    def block(window: Any) -> tuple[Any, list[int]]:
        found = reader.squeezed(window)
        # The high half alone: what the exact remainder adds to the entropy is left out.
        counts = np.bincount(found.values >> 16, minlength=1 << 16)
        counts[0] += found.elements - found.values.size
        return counts, [len(encoder.encode(found)) for encoder in encoders.values()]

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
    pair = recipes.write(work, "pair", recipes.REASONING_VECTOR, triple)
    packed = recipes.write(work, "packed", recipes.FROM_VECTOR, {**triple, "vector": vector})
    commands = {
        "merge": ["merge", pair, work / "merged"],
        "extract": ["extract", pair, vector],
        "apply": ["merge", packed, work / "applied"],
    }
    taken: dict[str, list[Measured]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for _, _, out in commands.values():
            shutil.rmtree(out, ignore_errors=True)
        once = interleave({n: [recipes.RVEC, *c, "--json"] for n, c in commands.items()}, 1)
        for name, found in once.items():
            taken[name] += found
    file = "model.safetensors"
    same = filecmp.cmp(work / "merged" / file, work / "applied" / file, shallow=False)
    kinds = {
        "process": lambda run: run.wall,
        "work": lambda run: json.loads(run.said)["seconds"],
        "CPU": lambda run: run.cpu,
    }
    medians = {
        (name, kind): statistics.median(map(figure, runs))
        for name, runs in taken.items()
        for kind, figure in kinds.items()
    }
    payload = sum(p.stat().st_size for p in vector.glob("*.safetensors"))
    return {
        "vector file, bytes": payload,
        "same bits": same,
        "runs": RUNS,
        **{f"{n}, {kind} seconds": round(value, 2) for (n, kind), value in medians.items()},
        **{
            f"{name} / merge speed, {kind}": round(medians["merge", kind] / value, 2)
            for (name, kind), value in medians.items()
            if name != "merge"
        },
        "GB of anonymous memory": round(
            max(r.memory for rs in taken.values() for r in rs) / 1e9, 2
        ),
    }


def _entropy_bytes(counts: Any) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum() * counts.sum() / 8)


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
