"""`make demo`: merge the embedded family with stock mergekit, score it with stock lm-eval.

Run from the repository's root. Everything is written under ``out/demo``; what is there already,
and made from the same recipe and weights, is used again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here needs a hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parent.parent
OUT = Path("out/demo")
FAMILY = Path("demo/family")
TASK = "rvec_tiny"
MERGES = {
    "target + 0.5 v": Path("recipes/tiny.yaml"),
    "target − v": Path("recipes/subtract.yaml"),
    "target + 0.5 random": Path("recipes/controls/random.yaml"),
}


@dataclass(frozen=True)
class Score:
    """One model's outcomes on the test items: 0 or 1 each, by item."""

    name: str
    correct: dict[int, float]


def main() -> None:
    os.chdir(ROOT)
    OUT.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # threads cost a model this small more than they save
    started = time.monotonic()
    models = {name: FAMILY / name for name in ("target", "sft", "grpo")}
    for name, recipe in MERGES.items():
        models[name] = merged(recipe)
    say("Loading transformers and lm-eval")
    scores = [scored(name, folder) for name, folder in models.items()]
    missed = next(item for item, value in sorted(scores[0].correct.items()) if not value)
    print(f"\n{example(missed, models['target'], models['target + 0.5 v'])}\n")
    show(scores)
    say(f"Done in {time.monotonic() - started:.0f} s. The same score by hand:")
    print(
        f"  lm_eval run --model hf --model_args pretrained={models['target + 0.5 v']} \\\n"
        f"    --include_path eval/tasks --tasks {TASK} --apply_chat_template \\\n"
        "    --device cpu --batch_size 100"
    )


def merged(recipe: Path) -> Path:
    """Merge a recipe with the stock command, unless that has been done."""
    out = OUT / recipe.stem
    stamp = OUT / f"{recipe.stem}.sha256"
    wanted = digest(recipe, FAMILY / "manifest.json")
    if out.is_dir() and stamp.is_file() and stamp.read_text() == wanted:
        say(f"Merged before: {out}")
        return out
    shutil.rmtree(out, ignore_errors=True)
    say(f"$ mergekit-yaml {recipe} {out}")
    program = Path(sys.executable).with_name("mergekit-yaml")
    run = subprocess.run(
        [program, recipe, out, "--quiet"], capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        sys.exit(f"{run.stderr}\nmergekit-yaml failed; `rvec doctor` says what is missing.")
    stamp.write_text(wanted)
    return out


def scored(name: str, folder: Path) -> Score:
    """Score a model with lm-eval, unless the same weights have been scored."""
    weights = digest(folder / "model.safetensors", *sorted(Path("eval/tasks/tiny").rglob("*.*")))
    kept = OUT / f"scores-{weights[:16]}.json"
    if not kept.is_file():
        say(f"Scoring {name}")
        kept.write_text(json.dumps(evaluate(folder)))
    else:
        say(f"Scored before: {name}")
    outcomes = json.loads(kept.read_text())
    return Score(name, {int(item): value for item, value in outcomes.items()})


def evaluate(folder: Path) -> dict[int, float]:
    """Each test item's exact match, by lm-eval's own HF model."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from rvec_merge.experiment.quiet import quiet

    with quiet():
        results = simple_evaluate(
            "hf",
            model_args={"pretrained": str(folder)},
            tasks=[TASK],
            # Without lm-eval's 14,000 own names, which take ten seconds to index.
            task_manager=TaskManager(include_path="eval/tasks", include_defaults=False),
            batch_size=100,
            device="cpu",  # a model this small is no faster elsewhere
            apply_chat_template=True,
            bootstrap_iters=0,
        )
    return {row["doc_id"]: row["exact_match"] for row in results["samples"][TASK]}


def example(item: int, target: Path, moved: Path) -> str:
    """One problem, answered by transformers with the target and with the merge."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rvec_merge.experiment.quiet import quiet

    items = Path("eval/tasks/tiny/data/word_problems_test.jsonl").read_text().splitlines()
    question = json.loads(items[item])["question"]
    lines = ["The first problem that the target gets wrong:", f"  {question}"]
    for name, folder in (("target", target), ("target + 0.5 v", moved)):
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder)
            chat = [{"role": "user", "content": question}]
            prompt = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            with torch.no_grad():
                ids = model.generate(**prompt, max_new_tokens=72, do_sample=False)[0]
        answer = tokenizer.decode(ids[prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        lines.append(f"  {name + ':':16}{' / '.join(answer.strip().splitlines())}")
    return "\n".join(lines)


def show(scores: list[Score]) -> None:
    """Print the table, and one sentence that says what it shows."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from rvec_merge.results import wording
    from rvec_merge.stats.significance import Outcomes, mean, paired

    outcomes = {
        s.name: Outcomes(np.array(list(s.correct)), np.array(list(s.correct.values())))
        for s in scores
    }
    base = outcomes["target"]
    table = Table(box=None, header_style="bold")
    table.add_column("model")
    for column in ("accuracy %", "minus target", "95 % interval", "items"):
        table.add_column(column, justify="right")
    differences = {}
    for name, values in outcomes.items():
        compared = paired(base, values)
        differences[name] = compared
        changed = name != "target"
        table.add_row(
            name if name not in ("sft", "grpo") else f"{name} donor",
            wording.level(mean(values), binary=True),
            wording.change(compared.difference, binary=True) if changed else "",
            wording.interval(compared) if changed else "",
            str(compared.n),
        )
    Console().print(table)
    gain, control = differences["target + 0.5 v"], differences["target + 0.5 random"]
    print(
        f"\nOn these {gain.n} made-up word problems, adding half of v = grpo − sft changes the "
        f"target by {wording.change(gain.difference, binary=True)} points\n"
        f"({wording.interval(gain)}); a random update of the same size changes it by "
        f"{wording.change(control.difference, binary=True)} ({wording.interval(control)}).\n"
        "It says nothing about large models; demo/README.md says what this vector carries."
    )


def digest(*paths: Path) -> str:
    """sha256 over the contents of files."""
    return hashlib.sha256(b"".join(p.read_bytes() for p in paths if p.is_file())).hexdigest()


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
