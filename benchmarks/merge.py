"""`rvec merge`, and stock mergekit with our method, against its built-ins and against the floor.

    python benchmarks/merge.py [--size 0.5b] [--runs 3] [--folder FOLDER]

Whole processes, interleaved, page cache warm, on a generated triple (or the one in FOLDER).
The floor reads the three inputs and copies one output; `rvec merge` also syncs its output to
disk before it renames it, which mergekit does not, so a second floor does. 1.5b takes 13 GB of
disk.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from generate import SIZES, found_or_generated
from process import Measured, interleave, machine, measure, ratios, spread

import recipes

OURS, STOCK = "rvec merge", "mergekit reasoning_vector"
LINEAR, ARITHMETIC = "mergekit linear, bf16", "mergekit task_arithmetic, bf16"
EXACT = "mergekit task_arithmetic, f32 to bf16"
FLOOR, SYNCED = "floor", "floor, synced to disk"
# mergekit's flags that may matter, each tried once with the built-ins that compute in bf16.
FLAGS = {
    "async": ("--async-write", "--write-threads", "2"),
    "1 thread": ("--num-threads", "1"),
    "1 GB shards": ("--out-shard-size", "1B"),
    "lazy": ("--lazy-unpickle",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="0.5b")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="holds target, sft and grpo already")
    arguments = parser.parse_args()
    described = machine()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        models = found_or_generated(arguments.folder, work, arguments.size)
        found, swept = compare(models, work, arguments.runs)
        nbytes = (models["target"] / "model.safetensors").stat().st_size
    print(section(arguments.size, arguments.runs, described, nbytes, found, swept), end="")


def compare(
    models: Mapping[str, Path], work: Path, runs: int
) -> tuple[dict[str, list[Measured]], dict[str, list[Measured]]]:
    """The compared processes, ``runs`` times; and the built-ins with other flags, once."""
    out = work / "out"

    def stock(name: str, text: str) -> list[str | Path]:
        return [recipes.MERGEKIT, recipes.write(work, name, text, models), out, "--quiet"]

    ours = recipes.write(work, "ours", recipes.REASONING_VECTOR, models)
    weights = {role: folder / "model.safetensors" for role, folder in models.items()}
    floor = f"mkdir {out} && cat {' '.join(map(str, weights.values()))} >/dev/null"
    floor += f" && cp {weights['target']} {out}/"
    built_in = {
        LINEAR: stock("linear", recipes.LINEAR),
        ARITHMETIC: stock("task_arithmetic", recipes.TASK_ARITHMETIC),
    }
    commands: dict[str, Sequence[str | Path]] = {
        OURS: [recipes.RVEC, "merge", ours, out, "--json"],
        STOCK: [recipes.MERGEKIT, ours, out, "--quiet"],
        **built_in,
        EXACT: stock("exact", recipes.TASK_ARITHMETIC_F32),
        FLOOR: ["sh", "-c", floor],
        SYNCED: ["sh", "-c", f"{floor} && sync {out}/model.safetensors"],
    }
    for name in (OURS, STOCK, FLOOR):  # warm: page cache, compiled Python files
        measure(commands[name], out=out)
    found = interleave(commands, runs, out=out)
    flagged = {
        f"{name}, {flag}": [*command, *options]
        for name, command in built_in.items()
        for flag, options in FLAGS.items()
    }
    return found, interleave(flagged, 1, out=out)


def section(
    size: str,
    runs: int,
    described: str,
    nbytes: int,
    found: Mapping[str, Sequence[Measured]],
    swept: Mapping[str, Sequence[Measured]],
) -> str:
    """One size's part of RESULTS.md."""
    reports = [json.loads(run.said) for run in found[OURS]]
    merging = [report["seconds"] for report in reports]
    startup = [run.wall - seconds for run, seconds in zip(found[OURS], merging, strict=True)]
    lines = [
        f"### Qwen2.5-{size.upper()} shapes, {nbytes / 1e9:.2f} GB per model",
        "",
        f"`python benchmarks/merge.py --size {size} --runs {runs}`: {described}.",
        "",
        "| process | wall s | over `rvec merge` | cpu s | anonymous GB |",
        "|---|---|---|---|---|",
        *(_row(name, rows, found[OURS][: len(rows)]) for name, rows in {**found, **swept}.items()),
        "",
        "The last rows, mergekit's flags, ran once each, and are over the first `rvec merge`.",
        "",
        f"- `rvec merge`, start-up (imports, planning, exit), s: {spread(startup)}",
        f"- from the first weight to the rename, s: {spread(merging)}",
        *(
            f"- the same over the {name}: "
            f"{spread([s / run.wall for s, run in zip(merging, found[name], strict=True)])}"
            for name in (FLOOR, SYNCED)
        ),
        *(
            f"- stock `mergekit-yaml` with our method over {name.removeprefix('mergekit ')}: "
            + ", ".join(
                f"{figure} {ratios(found[STOCK], found[name], figure)}"
                for figure in ("wall", "cpu", "memory")
            )
            for name in (LINEAR, EXACT)
        ),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, runs: Sequence[Measured], ours: Sequence[Measured]) -> str:
    wall, cpu = (statistics.median(getattr(run, f) for run in runs) for f in ("wall", "cpu"))
    memory = max(run.memory for run in runs) / 1e9
    return f"| {name} | {wall:.2f} | {ratios(runs, ours, 'wall')} | {cpu:.2f} | {memory:.2f} |"


if __name__ == "__main__":
    sys.exit(main())
