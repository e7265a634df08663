"""Stock `mergekit-yaml` with our method against the built-ins people use for the same sum.

    python benchmarks/stock.py [--size 0.5b] [--runs 3]

Whole processes, interleaved, on a generated triple. `linear` in bfloat16 is the published form
of such merges; `task_arithmetic` in float32 is the only built-in that is exact.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from generate import SIZES, generate
from process import Measured, interleave, machine, measure, ratios

MERGEKIT = Path(sys.executable).with_name("mergekit-yaml")
RECIPES = {
    "reasoning_vector": """\
merge_method: reasoning_vector
base_model: {target}
models:
  - {{model: {grpo}, parameters: {{role: grpo}}}}
  - {{model: {sft}, parameters: {{role: sft}}}}
parameters: {{scale: 1.0}}
out_dtype: bfloat16
""",
    "linear bf16": """\
merge_method: linear
models:
  - {{model: {target}, parameters: {{weight: 1.0}}}}
  - {{model: {sft}, parameters: {{weight: -1.0}}}}
  - {{model: {grpo}, parameters: {{weight: 1.0}}}}
parameters: {{normalize: false}}
dtype: bfloat16
""",
    "task_arithmetic f32": """\
merge_method: task_arithmetic
base_model: {target}
models:
  - {{model: {grpo}, parameters: {{weight: 1.0}}}}
  - {{model: {sft}, parameters: {{weight: -1.0}}}}
dtype: float32
out_dtype: bfloat16
""",
}


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="0.5b")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return compare(Path(name), arguments.size, arguments.runs)


def compare(work: Path, size: str, runs: int) -> dict[str, Any]:
    """Medians and ratios of wall time and peak anonymous memory."""
    described = machine()
    triple = generate(work / "triple", size)
    commands = {}
    for name, text in RECIPES.items():
        path = work / f"{name.split()[0]}.yaml"
        path.write_text(text.format(**triple))
        commands[name] = lambda path=path: merged(path, work / "out")
    found = interleave(commands, runs)
    ours = found["reasoning_vector"]
    return {
        "machine": described,
        "size": size,
        "runs": runs,
        **{
            f"{figure}, ours / {name}": ratios(ours, found[name], figure)
            for name in RECIPES
            if name != "reasoning_vector"
            for figure in ("wall", "cpu", "memory")
        },
        "ours, GiB of anonymous memory": round(max(run.memory for run in ours) / 2**30, 2),
        "ours, seconds": [round(run.wall, 1) for run in ours],
    }


def merged(recipe: Path, out: Path) -> Measured:
    """One stock merge into a fresh folder."""
    shutil.rmtree(out, ignore_errors=True)
    return measure([MERGEKIT, recipe, out, "--quiet"])


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
