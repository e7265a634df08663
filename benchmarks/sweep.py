"""Changing the scale of a resident model against merging to disk and loading the result.

    python benchmarks/sweep.py [--size 0.5b] [--runs 3] [--folder FOLDER]

The other way is a whole run of stock `mergekit-yaml`, then transformers' loading of its output in a
process that has imported it; and the same without the time mergekit's imports take. A change of
scale is what `rvec experiment` does between two cells. Changes follow one another as they do in a
sweep; the first one, which maps the checkpoints, is reported apart.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from generate import SIZES, found_or_generated
from process import machine, measure, spread

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
        triple = found_or_generated(arguments.folder, work, arguments.size)
        return compare(triple, work, arguments.size, arguments.runs)


def compare(triple: dict[str, Path], work: Path, size: str, runs: int) -> dict[str, Any]:
    """Seconds of both ways, and the ratio of their medians; bfloat16 throughout."""
    import torch
    from transformers import AutoModelForCausalLM

    from rvec_merge.experiment.backends.model_weights import ResidentWeights
    from rvec_merge.experiment.conditions import State
    from rvec_merge.recipe.read import read_recipe

    described = machine()
    recipe = recipes.write(work, "recipe", recipes.REASONING_VECTOR, triple)
    model = AutoModelForCausalLM.from_pretrained(triple["target"], dtype=torch.bfloat16)
    weights = ResidentWeights(read_recipe(recipe), model)
    change = []
    for run in range(runs + 1):
        start = time.perf_counter()
        weights.become(State("vector", 0.5 + run))
        change.append(time.perf_counter() - start)
    first, *rest = change
    del model, weights
    taken = [merged_and_loaded(recipe, work / "out") for _ in range(runs)]
    disk, without_imports = zip(*taken, strict=True)
    return {
        "machine": described,
        "size": size,
        "runs": runs,
        "first change, seconds": round(first, 2),
        "change, seconds": spread(rest),
        "merge and load, seconds": spread(disk),
        "change / merge and load": _ratio(rest, disk),
        "change / merge and load, imports left out": _ratio(rest, without_imports),
    }


def merged_and_loaded(recipe: Path, out: Path) -> tuple[float, float]:
    """Seconds of a stock merge and of loading it; and the same without mergekit's imports."""
    python = Path(sys.executable)
    imports = measure([python, "-c", "import mergekit.scripts.run_yaml"]).wall
    merge = measure([recipes.MERGEKIT, recipe, out, "--quiet"]).wall
    loading = f"{LOAD}.from_pretrained({str(out)!r}, dtype=torch.bfloat16)"
    load = measure([python, "-c", loading]).wall - measure([python, "-c", LOAD]).wall
    shutil.rmtree(out)
    return merge + load, merge + load - imports


def _ratio(a: Sequence[float], b: Sequence[float]) -> float:
    return round(statistics.median(a) / statistics.median(b), 3)


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
