"""Changing the scale of a resident model against merging to disk and loading the result.

    python benchmarks/sweep.py [--size 0.5b] [--runs 3] [--folder FOLDER]

Stock `mergekit-yaml` and transformers' loading are whole processes less the time their imports
take; a change of scale is what `rvec experiment` does between two cells.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from generate import ROLES, SIZES, generate
from process import machine, measure

import recipes

LOAD = "import torch, transformers; transformers.AutoModelForCausalLM"


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="0.5b")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="holds target, sft and grpo already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = arguments.folder
        triple = {r: folder / r for r in ROLES} if folder else generate(work, arguments.size)
        return compare(triple, work, arguments.size, arguments.runs)


def compare(triple: dict[str, Path], work: Path, size: str, runs: int) -> dict[str, Any]:
    """Median seconds of both ways, and their ratio; bfloat16 throughout."""
    import torch
    from transformers import AutoModelForCausalLM

    from rvec_merge.evaluation.conditions import State
    from rvec_merge.evaluation.weights import ResidentWeights
    from rvec_merge.recipe import read_recipe

    described = machine()
    recipe = recipes.write(work, "recipe", recipes.REASONING_VECTOR, triple)
    model = AutoModelForCausalLM.from_pretrained(triple["target"], dtype=torch.bfloat16)
    weights = ResidentWeights(read_recipe(recipe), model)
    change, disk = [], []
    for run in range(runs):
        start = time.perf_counter()
        weights.become(State("vector", 0.5 + run))
        change.append(time.perf_counter() - start)
        disk.append(merged_and_loaded(recipe, work / "out"))
    ratios = [a / b for a, b in zip(change, disk, strict=True)]
    return {
        "machine": described,
        "size": size,
        "runs": runs,
        "change, seconds": round(statistics.median(change), 2),
        "merge and load, seconds": round(statistics.median(disk), 2),
        "change / merge and load": f"{statistics.median(ratios):.3f} "
        f"({min(ratios):.3f}–{max(ratios):.3f})",
    }


def merged_and_loaded(recipe: Path, out: Path) -> float:
    """Seconds of a stock merge and of loading it, without either program's imports."""
    python = Path(sys.executable)
    imports = (
        measure([python, "-c", "import mergekit.merge"]).wall + measure([python, "-c", LOAD]).wall
    )
    merge = measure([recipes.MERGEKIT, recipe, out, "--quiet"]).wall
    load = measure([python, "-c", f"{LOAD}.from_pretrained({str(out)!r}, dtype=torch.bfloat16)"])
    shutil.rmtree(out)
    return merge + load.wall - imports


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
