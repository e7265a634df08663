"""`rvec merge` against stock mergekit and against the floor: whole processes, interleaved.

    python benchmarks/merge.py --work FOLDER [--sizes 0.5b 1.5b] [--runs 3]

Generates the models under FOLDER, deletes them afterwards, prints the section of RESULTS.md and
writes the figures to benchmarks/results/merge.json. 1.5b needs 20 GB of disk.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.generate import SIZES, generate

RESULTS = Path(__file__).resolve().parent / "results" / "merge.json"
BIN = Path(sys.executable).parent
POLL = 0.01  # seconds between two looks at a process's memory

DONORS = """\
base_model: {target}
models:
  - model: {grpo}
    parameters: {{role: grpo}}
  - model: {sft}
    parameters: {{role: sft}}
"""
LINEAR = """\
merge_method: linear
models:
  - {{model: {target}, parameters: {{weight: 1}}}}
  - {{model: {grpo}, parameters: {{weight: 1}}}}
  - {{model: {sft}, parameters: {{weight: -1}}}}
parameters: {{normalize: false}}
"""
ARITHMETIC = """\
merge_method: task_arithmetic
base_model: {target}
models:
  - {{model: {grpo}, parameters: {{weight: 1}}}}
  - {{model: {sft}, parameters: {{weight: -1}}}}
"""
BF16, EXACT = "dtype: bfloat16\n", "dtype: float32\nout_dtype: bfloat16\n"
RECIPES = {
    "ours": "merge_method: reasoning_vector\n"
    + DONORS
    + "parameters: {{scale: 1.0}}\nout_dtype: bfloat16\n",
    "linear": LINEAR + BF16,
    "task_arithmetic": ARITHMETIC + BF16,
    "task_arithmetic, float32": ARITHMETIC + EXACT,
}
OURS, FLOOR, SYNCED = "rvec merge", "floor", "floor, synced to disk"
EXACT_NAME = "mergekit task_arithmetic, float32 to bf16"


@dataclass(frozen=True)
class Case:
    """One thing that is measured.

    Attributes:
        command: with OUT for the output folder.
        sweep: a variant that is only looked at once, in the first round.
    """

    name: str
    command: tuple[str, ...]
    sweep: bool = False


@dataclass(frozen=True)
class Sample:
    """One process: wall and processor seconds, peak anonymous memory in bytes."""

    wall: float
    cpu: float
    anonymous: int
    said: str


def cases(folders: Mapping[str, Path], work: Path) -> list[Case]:
    """What is compared."""
    recipes = {}
    for number, (name, text) in enumerate(RECIPES.items()):
        recipes[name] = work / f"recipe-{number}.yaml"
        recipes[name].write_text(text.format(**folders), encoding="utf-8")

    def stock(recipe: str, *flags: str) -> tuple[str, ...]:
        return (f"{BIN}/mergekit-yaml", str(recipes[recipe]), "OUT", "--quiet", *flags)

    weights = {role: folder / "model.safetensors" for role, folder in folders.items()}
    floor = f"mkdir OUT && cat {weights['sft']} {weights['grpo']} {weights['target']} >/dev/null"
    floor += f" && cp {weights['target']} OUT/"
    asynchronous = ("--async-write", "--write-threads", "2")
    return [
        Case(OURS, (f"{BIN}/rvec", "merge", str(recipes["ours"]), "OUT", "--json")),
        Case("mergekit linear, bf16", stock("linear")),
        Case("mergekit task_arithmetic, bf16", stock("task_arithmetic")),
        Case(EXACT_NAME, stock("task_arithmetic, float32")),
        Case("mergekit reasoning_vector", stock("ours")),
        Case(FLOOR, ("sh", "-c", floor)),
        Case(SYNCED, ("sh", "-c", f"{floor} && sync OUT/model.safetensors")),
        Case("mergekit linear, async", stock("linear", *asynchronous), sweep=True),
        Case("mergekit linear, 1 thread", stock("linear", "-j", "1"), sweep=True),
        Case("mergekit linear, 1 GB shards", stock("linear", "--out-shard-size", "1B"), sweep=True),
        Case("mergekit linear, lazy", stock("linear", "--lazy-unpickle"), sweep=True),
        Case(
            "mergekit task_arithmetic, async", stock("task_arithmetic", *asynchronous), sweep=True
        ),
        Case("mergekit task_arithmetic, 1 thread", stock("task_arithmetic", "-j", "1"), sweep=True),
        Case(
            "mergekit task_arithmetic, 1 GB shards",
            stock("task_arithmetic", "--out-shard-size", "1B"),
            sweep=True,
        ),
    ]


def run(case: Case, out: Path) -> Sample:
    """Run one process to its end and delete what it wrote."""
    command = [part.replace("OUT", str(out)) for part in case.command]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak))
    watcher.start()
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    shutil.rmtree(out, ignore_errors=True)
    if process.returncode:
        raise SystemExit(f"{case.name} failed with {process.returncode}: {' '.join(command)}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, peak[0], said)


def _watch(pid: int, peak: list[int]) -> None:
    """Note a process's largest anonymous memory until it ends."""
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        found = [line for line in status.splitlines() if line.startswith("RssAnon:")]
        if not found:  # a zombie has none
            return
        peak[0] = max(peak[0], int(found[0].split()[1]) * 1024)
        time.sleep(POLL)


def measure(size: str, work: Path, runs: int, sweep: bool) -> dict[str, object]:
    """Every case at one size, interleaved; seconds and bytes per run."""
    folders = generate(work / size, size)
    out = work / "out"
    compared = [case for case in cases(folders, work) if sweep or not case.sweep]
    samples: dict[str, list[Sample]] = {case.name: [] for case in compared}
    for case in compared:  # warm: page cache, compiled Python files
        if case.name in (OURS, FLOOR, compared[1].name):
            run(case, out)
    for number in range(runs):
        for case in compared:
            if number == 0 or not case.sweep:
                samples[case.name].append(run(case, out))
                print(f"{size} {case.name}: {samples[case.name][-1].wall:.2f} s", file=sys.stderr)
    nbytes = (folders["target"] / "model.safetensors").stat().st_size
    shutil.rmtree(work / size)
    reported = [json.loads(sample.said) for sample in samples[OURS]]
    return {
        "output_bytes": nbytes,
        "merging_seconds": [report["seconds"] for report in reported],
        "startup_seconds": [
            sample.wall - report["seconds"]
            for sample, report in zip(samples[OURS], reported, strict=True)
        ],
        "effect": reported[0]["effect"],
        "cases": {
            name: [{k: v for k, v in asdict(s).items() if k != "said"} for s in found]
            for name, found in samples.items()
        },
    }


def ratios(found: Mapping[str, list[dict[str, float]]], name: str, base: str) -> list[float]:
    """Wall seconds of one case over those of another, run by run."""
    return [a["wall"] / b["wall"] for a, b in zip(found[name], found[base], strict=False)]


def section(results: Mapping[str, dict]) -> str:
    """The section of RESULTS.md."""
    lines = [
        "`rvec merge` against stock mergekit on generated triples (`benchmarks/generate.py`):",
        "whole processes from start to exit, interleaved, page cache warm. The ratio is a case's",
        "wall time over that of `rvec merge` in the same round: median, and range. The floor",
        "copies one output and reads the three inputs once. `rvec merge` syncs its output to disk",
        "before it renames it; mergekit does not, so the second floor does.",
    ]
    for size, result in results.items():
        found = result["cases"]
        lines += [
            "",
            f"### Qwen2.5-{size.upper()} shapes, {result['output_bytes'] / 1e9:.2f} GB per model",
            "",
            "| case | wall s | ratio | cpu s | anonymous GB |",
            "|---|---|---|---|---|",
        ]
        for name, runs in found.items():
            ratio = ratios(found, name, OURS)
            text = f"{statistics.median(ratio):.2f} ({min(ratio):.2f}–{max(ratio):.2f})"
            lines.append(
                f"| {name} | {_median(runs, 'wall'):.2f} | {text} | {_median(runs, 'cpu'):.2f} | "
                f"{max(run['anonymous'] for run in runs) / 1e9:.2f} |"
            )
        startup = statistics.median(result["startup_seconds"])
        merging = statistics.median(result["merging_seconds"])
        over, over_synced = (
            statistics.median(
                seconds / run["wall"]
                for seconds, run in zip(result["merging_seconds"], found[floor], strict=True)
            )
            for floor in (FLOOR, SYNCED)
        )
        lines += [
            "",
            f"Start-up {startup:.2f} s (imports, planning, exit); from the first weight to the",
            f"rename {merging:.2f} s, which is {over:.2f}× the floor and {over_synced:.2f}× the "
            "synced floor.",
        ]
    if {"0.5b", "1.5b"} <= results.keys():
        small, large = results["0.5b"], results["1.5b"]
        size = large["output_bytes"] / small["output_bytes"]
        took = statistics.median(large["merging_seconds"]) / statistics.median(
            small["merging_seconds"]
        )
        lines += ["", f"From 0.5B to 1.5B: {size:.2f}× the bytes, {took:.2f}× the merging time."]
    return "\n".join(lines) + "\n"


def _median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the models")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["0.5b", "1.5b"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--sweep",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="look at mergekit's flags too, once each",
    )
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = {
        size: measure(size, arguments.work, arguments.runs, arguments.sweep)
        for size in arguments.sizes
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(section(results), end="")


if __name__ == "__main__":
    main()
