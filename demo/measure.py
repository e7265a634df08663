#!/usr/bin/env python
"""Measure the shipped family and rewrite the tables of ``demo/README.md``.

``python demo/measure.py`` takes a few minutes on one core and writes ``demo/results.json`` too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from demo.evaluate import FAMILY, Examiner, Family, Items, Score, Weights
from demo.problems import FAMILIES
from demo.side_tasks import SIDE_TASKS
from demo.tables import (
    family_table,
    main_table,
    replace_block,
    scale_table,
    side_table,
    vector_line,
)

HERE = Path(__file__).resolve().parent
SCALE = 0.5
SCALES = (-1.0, -0.5, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
RANDOM_SEEDS = range(5)
PERMUTED_SEEDS = range(3)


@dataclass(frozen=True)
class Condition:
    """A model state with a prompt variant. ``weights`` is called when its turn comes."""

    name: str
    weights: Callable[[], Weights]
    think: bool = False
    forced: bool = False


def conditions(family: Family) -> Iterator[Condition]:
    """Everything scored on the word problems."""

    def merged(scale: float, **options: Any) -> Callable[[], Weights]:
        return lambda: family.merge(scale, **options)

    def stored(name: str) -> Callable[[], Weights]:
        return lambda: family.weights(name)

    target = stored("target")
    yield Condition("target", target)
    yield Condition("target, think", target, think=True)
    for donor in ("sft", "grpo"):
        yield Condition(donor, stored(donor))
        yield Condition(f"{donor}, think", stored(donor), think=True)
    for scale in SCALES:
        yield Condition(f"target {scale:+g} v", merged(scale))
    yield Condition(f"target {SCALE:+g} v, think", merged(SCALE), think=True)
    for seed in RANDOM_SEEDS:
        yield Condition(f"target +1 random {seed}", merged(1.0, control="random", seed=seed))
    for seed in PERMUTED_SEEDS:
        yield Condition(f"target +1 permuted {seed}", merged(1.0, control="permuted", seed=seed))
    for scale in (SCALE, 1.0):
        yield Condition(f"target {scale:+g} other v", merged(scale, donors="other-init/"))
    for scale in (SCALE, 1.0, -1.0):
        yield Condition(f"target {scale:+g} v, bf16", merged(scale, dtype=torch.bfloat16))
    yield Condition("target, forced", target, forced=True)
    yield Condition("sft, forced", stored("sft"), forced=True)
    yield Condition("grpo, forced", stored("grpo"), forced=True)
    for scale in (SCALE, 1.0):
        yield Condition(f"target {scale:+g} v, forced", merged(scale), forced=True)


def measure(family: Family, problems: Items, side: Items) -> dict[str, dict[str, Score]]:
    """Score every condition on the word problems, and a few on the side tasks."""
    examiner = Examiner(family)
    planned = list(conditions(family))
    scores: dict[str, Score] = {}
    for number, c in enumerate(planned, 1):
        score = examiner.score(c.weights(), problems, think=c.think, forced=c.forced)
        scores[c.name] = score
        print(f"{number}/{len(planned)}  {c.name}: {100 * score.accuracy:.1f}", flush=True)
    states = {"target": family.weights("target")}
    states |= {f"target {s:+g} v": family.merge(s) for s in (SCALE, 1.0, -1.0)}
    return {
        "problems": scores,
        "side": {name: examiner.score(weights, side) for name, weights in states.items()},
    }


def summary(scores: dict[str, Score], items: Items, kinds: tuple[str, ...]) -> dict[str, Any]:
    """The figures of one set of conditions, as written to results.json."""
    chosen = {kind: [k == kind for k in items.kinds] for kind in kinds}
    rows = {}
    for name, score in scores.items():
        gap, gap_error = score.minus(scores["target"])
        rows[name] = {
            "accuracy": round(score.accuracy, 4),
            "standard_error": round(score.error, 4),
            "difference": round(gap, 4),
            "difference_error": round(gap_error, 4),
            "parsable": round(score.parsable, 4),
            "steps": round(score.steps, 3),
            "by_kind": {k: round(score.among(mask).accuracy, 4) for k, mask in chosen.items()},
        }
    return {"items": len(items.kinds), "conditions": rows}


def tables(results: dict[str, Any]) -> str:
    problems, side = results["problems"], results["side"]
    return "\n\n".join(
        [
            main_table(problems, RANDOM_SEEDS, PERMUTED_SEEDS, SCALE),
            scale_table(problems, SCALES),
            family_table(problems, tuple(FAMILIES), SCALE),
            side_table(side, tuple(SIDE_TASKS), SCALE),
            vector_line(results["vector"]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--family", type=Path, default=FAMILY, help="folder of the models")
    parser.add_argument(
        "--split", choices=("validation", "test"), default="test",
        help="validation prints its tables and writes nothing",
    )  # fmt: skip
    options = parser.parse_args()
    # Batches of a few hundred short rows: a second thread costs more than it brings.
    torch.set_num_threads(1)
    problems = Items.load(f"word_problems_{options.split}")
    side = Items.load(f"side_{options.split}")
    family = Family(options.family)
    scores = measure(family, problems, side)
    results = {
        "vector": asdict(family.geometry()),
        "problems": summary(scores["problems"], problems, tuple(FAMILIES)),
        "side": summary(scores["side"], side, tuple(SIDE_TASKS)),
    }
    if options.split == "validation":
        print(tables(results))
        return
    text = json.dumps(results, indent=2) + "\n"
    (HERE / "results.json").write_text(text, encoding="utf-8", newline="\n")
    readme = HERE / "README.md"
    page = replace_block(readme.read_text(encoding="utf-8"), tables(results))
    readme.write_text(page, encoding="utf-8", newline="\n")
    print(f"{readme} and {HERE / 'results.json'} are up to date.")


if __name__ == "__main__":
    main()
