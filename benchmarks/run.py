"""`make bench`: run the benchmarks one after another and write benchmarks/RESULTS.md.

    python benchmarks/run.py [NAME ...] [--sizes 0.5b 1.5b] [--runs 3]

Names are those of the sections; without any, all are run (about 40 minutes and 20 GB of disk for
both sizes). A section that is not run keeps what RESULTS.md says.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
HEAD = """\
# Benchmarks

Written by `make bench`. Whole processes where nothing else is said; compared commands run in turn,
and ratios are taken within a turn: median (least–most). The machines are shared and noisy, so
only ratios are claimed.
"""
SECTIONS = {
    "hook": ("What the plugin costs at `import torch`", ["autoload.py"]),
    "merge": ("Merging", ["merge.py", "--runs", "{runs}"]),
    "linear": ("From 0.5B to 7B", ["linear.py"]),
    "inputs": ("Other inputs", ["inputs.py", "--runs", "{runs}"]),
    "architectures": ("Architectures, tiny", ["architectures.py"]),
    "hub": ("Models in the Hub's cache", ["hub.py", "--runs", "{runs}"]),
    "preflight": ("`rvec check`", ["preflight.py", "--runs", "{runs}"]),
    "vector": ("The compact vector file", ["vector.py"]),
    "sweep": ("Changing the scale of a resident model", ["sweep.py", "--runs", "{runs}"]),
    "backend": ("vLLM beside transformers", ["backend.py", "--python", ".venv-vllm/bin/python"]),
    "engine": ("The Ray engine against the local one", ["engine.py"]),
    "scaling": ("Scaling out, simulated", ["scaling.py"]),
}
ASKED_FOR = {"backend"}  # needs `make vllm`
BY_SIZE = {"merge", "hub", "preflight", "vector", "sweep"}  # take --size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SECTIONS))
    parser.add_argument("--sizes", nargs="+", default=["0.5b", "1.5b"])
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    bodies = kept()
    for name in arguments.names or [name for name in SECTIONS if name not in ASKED_FOR]:
        title, _ = SECTIONS[name]
        print(f"== {title}", flush=True)
        bodies[title] = section(name, arguments.sizes, arguments.runs)
        print(bodies[title], flush=True)
        write(bodies)  # a later section that fails loses nothing


def section(name: str, sizes: list[str], runs: int) -> str:
    """The text of one section: what its script printed, for each size."""
    command = [part.format(runs=runs) for part in SECTIONS[name][1]]
    if name in BY_SIZE:
        return "\n\n".join(run([*command, "--size", size]) for size in sizes)
    return run(command)


def run(command: list[str]) -> str:
    """What a script prints: its JSON as a list, its Markdown as it is, plain text as a block."""
    done = subprocess.run(
        [sys.executable, HERE / command[0], *command[1:]],
        cwd=HERE.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    text = done.stdout.strip()
    shown = f"`python benchmarks/{' '.join(command)}`"
    if text.startswith(("#", "`python")):
        return text
    if not text.startswith("{"):
        return f"{shown}\n\n```\n{text}\n```"
    facts = json.loads(text)
    return "\n".join([f"{shown}\n", *(f"- {name}: {value}" for name, value in facts.items())])


def kept() -> dict[str, str]:
    """The sections of RESULTS.md, by title."""
    if not RESULTS.is_file():
        return {}
    parts = re.split(r"^## ", RESULTS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}


def write(bodies: dict[str, str]) -> None:
    """Write the sections there are, in the order of SECTIONS."""
    titles = [title for title, _ in SECTIONS.values() if title in bodies]
    text = "\n".join(f"## {title}\n\n{bodies[title]}\n" for title in titles)
    RESULTS.write_text(f"{HEAD}\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
