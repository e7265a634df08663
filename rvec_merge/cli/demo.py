"""``rvec demo``: merge the embedded family with stock mergekit, score it with stock lm-eval.

What is in the output folder already, made from the same recipe and weights, is used again.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from rvec_merge.cli.echo import echo
from rvec_merge.errors import EnvironmentProblem, said_by
from rvec_merge.recipe.resources import FAMILY, folder

TASK = "rvec_tiny"
MERGES = {
    "target + 0.5 v": "tiny",
    "target − v": "subtract",
    "target + 0.5 random": "controls/random",
}


@dataclass(frozen=True)
class Score:
    """One model's outcomes on the test items: 0 or 1 each, by item."""

    name: str
    correct: dict[int, float]


@click.command(short_help="Merge the embedded family, and score it: two minutes.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True
)
def command(out: Path) -> None:
    """Merge the embedded family with stock mergekit, and score it with stock lm-eval.

    The models have 0.8 million parameters each, and ship with this package. Nothing is downloaded.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here needs a hub
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    from rvec_merge.tasks.tasks_index import include_path

    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # threads cost a model this small more than they save
    started = time.monotonic()
    models = {name: folder(FAMILY) / name for name in ("target", "sft", "grpo")}
    for name, recipe in MERGES.items():
        models[name] = merged(recipe, out)
    echo("Loading transformers and lm-eval")
    scores = [scored(name, model, out) for name, model in models.items()]
    missed = next(item for item, value in sorted(scores[0].correct.items()) if not value)
    echo(f"\n{example(missed, models['target'], models['target + 0.5 v'])}\n")
    show(scores)
    echo(f"Done in {time.monotonic() - started:.0f} s. The same score by hand:")
    echo(
        f"  lm_eval run --model hf --model_args pretrained={models['target + 0.5 v']} \\\n"
        f"    --include_path {include_path()} --tasks {TASK} --apply_chat_template \\\n"
        "    --device cpu --batch_size 100"
    )


def merged(name: str, below: Path) -> Path:
    """Merge a bundled recipe with the stock command, unless that has been done."""
    from rvec_merge.recipe.catalog import find

    recipe, stem = find(name), name.rpartition("/")[2]
    out, stamp, path = below / stem, below / f"{stem}.sha256", below / f"{stem}.yaml"
    wanted = digest(recipe.path, folder(FAMILY) / "manifest.json")
    if out.is_dir() and stamp.is_file() and stamp.read_text() == wanted:
        echo(f"Merged before: {out}")
        return out
    shutil.rmtree(out, ignore_errors=True)
    path.write_text(recipe.text, encoding="utf-8")
    echo(f"$ mergekit-yaml {path} {out}")
    program = Path(sys.executable).with_name("mergekit-yaml")
    run = subprocess.run(
        [program, path, out, "--quiet"], capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        raise EnvironmentProblem(
            "mergekit-yaml failed.",
            said_by(RuntimeError(run.stderr)),
            "`rvec doctor` says what is missing.",
        )
    stamp.write_text(wanted)
    return out


def scored(name: str, model: Path, below: Path) -> Score:
    """Score a model with lm-eval, unless the same weights have been scored."""
    tasks = sorted((folder("eval") / "tasks" / "tiny").rglob("*.*"))
    weights = digest(model / "model.safetensors", *tasks)
    kept = below / f"scores-{weights[:16]}.json"
    if not kept.is_file():
        echo(f"Scoring {name}")
        kept.write_text(json.dumps(evaluate(model)))
    else:
        echo(f"Scored before: {name}")
    outcomes = json.loads(kept.read_text())
    return Score(name, {int(item): value for item, value in outcomes.items()})


def evaluate(model: Path) -> dict[int, float]:
    """Each test item's exact match, by lm-eval's own HF model."""
    from rvec_merge.shown import quiet
    from rvec_merge.tasks.harness import one_look_at_the_machine
    from rvec_merge.tasks.variants import scored_by_lm_eval

    with quiet(), one_look_at_the_machine():
        results = scored_by_lm_eval(
            "hf",
            model_args={"pretrained": str(model)},
            tasks=[TASK],
            batch_size=100,
            device="cpu",  # a model this small is no faster elsewhere
            apply_chat_template=True,
            bootstrap_iters=0,
        )
    return {row["doc_id"]: row["exact_match"] for row in results["samples"][TASK]}


def example(item: int, target: Path, moved: Path) -> str:
    """One problem, answered by transformers with the target and with the merge."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rvec_merge.shown import quiet

    items = (
        (folder("eval") / "tasks/tiny/data/word_problems_test.jsonl")
        .read_text("utf-8")
        .splitlines()
    )
    question = json.loads(items[item])["question"]
    lines = ["The first problem that the target gets wrong:", f"  {question}"]
    for name, place in (("target", target), ("target + 0.5 v", moved)):
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(place)
            model = AutoModelForCausalLM.from_pretrained(place)
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
    from rich.table import Table

    from rvec_merge.cli.console import PlainConsole
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
    console = PlainConsole()
    console.print(table)
    gain, control = differences["target + 0.5 v"], differences["target + 0.5 random"]
    console.print(
        f"\nOn these {gain.n} made-up word problems, adding half of v = grpo − sft changes the "
        f"target by {wording.change(gain.difference, binary=True)} points "
        f"({wording.interval(gain)}); a random update of the same size changes it by "
        f"{wording.change(control.difference, binary=True)} ({wording.interval(control)}). "
        "It says nothing about large models; demo/README.md says what this vector carries.\n"
    )


def digest(*paths: Path) -> str:
    """sha256 over the contents of files."""
    return hashlib.sha256(b"".join(p.read_bytes() for p in paths if p.is_file())).hexdigest()
