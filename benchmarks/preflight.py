"""What `rvec check` takes beyond its imports, with a large model's headers and tokenizers.

    python benchmarks/preflight.py [--size 1.5b] [--runs 3]

The weights are sparse files: only headers are read. The tokenizers have as many tokens as
Qwen2.5's, once the same bytes in all three models (the usual case), once written in other ways,
so that all three are read and compared.
"""

import argparse
import json
import random
import statistics
import string
import sys
import tempfile
from pathlib import Path
from typing import Any

from generate import SIZES, generate
from process import machine, measure

import recipes

TOKENS = 151_643
CHECK = """\
import json, sys, time
from rvec_merge.preflight import examine
from rvec_merge.recipe.read import read_recipe
wall, cpu = time.perf_counter(), time.process_time()
examine(read_recipe(sys.argv[1]), None).raise_errors()
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
"""


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="1.5b")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "runs": arguments.runs}
    with tempfile.TemporaryDirectory() as name:
        models = generate(Path(name), arguments.size, sparse=True)
        recipe = recipes.write(Path(name), "recipe", recipes.REASONING_VECTOR, models)
        for kind in ("the same bytes", "other bytes"):
            for index, folder in enumerate(models.values()):
                write_tokenizer(folder, index if kind == "other bytes" else 0)
            runs = [checked(recipe) for _ in range(arguments.runs)]
            for figure in ("wall", "cpu"):
                median = statistics.median(run[figure] for run in runs)
                found[f"tokenizers of {kind}, {figure} seconds"] = round(median, 2)
    return found


def checked(recipe: Path) -> dict[str, float]:
    """One preflight in a fresh process."""
    return json.loads(measure([sys.executable, "-c", CHECK, recipe]).said)


def write_tokenizer(folder: Path, indent: int) -> None:
    """A tokenizer.json of Qwen2.5's size; its content is the same whatever the indent."""
    letters = random.Random(0)
    words: dict[str, int] = {}
    while len(words) < TOKENS:
        word = "".join(letters.choices(string.ascii_lowercase, k=letters.randint(3, 9)))
        words.setdefault(word, len(words))
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["model"] |= {"vocab": words, "merges": [f"{word[:2]} {word[2:]}" for word in words]}
    data["added_tokens"] = []
    path.write_text(json.dumps(data, indent=indent), encoding="utf-8")


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
