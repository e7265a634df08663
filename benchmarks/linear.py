"""How `rvec merge` grows with the model: seconds and memory from 0.5B to 7B shapes.

    python benchmarks/linear.py [--sizes 0.5b 1.5b 3b 7b]

Whole processes, once each. The inputs are headers over zeros that take no disk: what is timed
is arithmetic and writing. The output is real, 15 GB of disk at 7B shapes.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from generate import generate
from process import machine, measure

import recipes

SIZES = ("0.5b", "1.5b", "3b", "7b")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    sizes = parser.parse_args().sizes
    lines = [
        f"`python benchmarks/linear.py`: {machine()}.",
        "",
        "| shapes | GB written | s from the first weight to the rename | GB/s written | cpu s "
        "| anonymous GB |",
        "|---|---|---|---|---|---|",
    ]
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            models = generate(work, size, sparse=True)
            recipe = recipes.write(work, "recipe", recipes.REASONING_VECTOR, models)
            out = work / "out"
            run = measure([recipes.RVEC, "merge", recipe, out, "--json"], out=out)
        said = json.loads(run.said)
        written = said["nbytes"] / 1e9
        lines.append(
            f"| Qwen2.5-{size.upper()} | {written:.2f} | {said['seconds']:.1f} | "
            f"{written / said['seconds']:.2f} | {run.cpu:.1f} | {run.memory / 1e9:.2f} |"
        )
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
