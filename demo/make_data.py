#!/usr/bin/env python
"""Write the family's lm-eval data: ``python demo/make_data.py``. The same bytes every time."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.language import side_tasks, solution, word_problems
from demo.problems import Problem
from demo.side_tasks import SideTask

DATA = Path(__file__).resolve().parents[1] / "eval" / "tasks" / "tiny" / "data"
SEED = 20250901
# Word problems per family, side tasks per kind (facts have fewer: all that are held out).
SIZES = {"train": (10, 5), "validation": (45, 25), "test": (100, 60)}


def problem_document(number: int, problem: Problem, split: str) -> dict[str, Any]:
    return {
        "id": f"{split}-{number:04d}",
        "kind": problem.family,
        "question": problem.text,
        "answer": problem.answer,
        "sentences": list(problem.sentences),
        "query": problem.query,
        "shufflable": problem.shufflable,
        "people": list(problem.people),
        "numbers": list(problem.numbers),
        "program": list(problem.program),
        "steps": list(problem.steps),
        "n_steps": len(problem.steps),
        "solution": solution(problem.steps, problem.answer),
    }


def side_document(number: int, task: SideTask, split: str) -> dict[str, Any]:
    return {
        "id": f"side-{split}-{number:04d}",
        "kind": task.kind,
        "question": task.text,
        "answer": task.answer,
        "steps": list(task.steps),
        "n_steps": len(task.steps),
        "solution": solution(task.steps, task.answer),
    }


def documents(split: str) -> Iterator[tuple[str, Iterable[dict[str, Any]]]]:
    """Yield (file name, documents) of one split."""
    per_family, per_kind = SIZES[split]
    problems = word_problems(split, per_family, SEED)
    yield (
        f"word_problems_{split}.jsonl",
        [problem_document(i, p, split) for i, p in enumerate(problems)],
    )
    tasks = side_tasks(split, per_kind, SEED)
    yield f"side_{split}.jsonl", [side_document(i, t, split) for i, t in enumerate(tasks)]


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in SIZES:
        for name, rows in documents(split):
            lines = [json.dumps(row, ensure_ascii=True) for row in rows]
            (folder / name).write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
            print(f"{folder / name}: {len(lines)} items")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA, help="folder for the *.jsonl files")
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
