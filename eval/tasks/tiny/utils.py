"""Data and scoring of the rvec_tiny tasks. Data files are found from this file, not the cwd."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import datasets

DATA = Path(__file__).resolve().parent / "data"
MARK = "####"
_STEP = re.compile(r"\d+\s*[-+*]\s*\d+\s*=\s*\d+")


def _load(name: str) -> datasets.DatasetDict:
    # Read here rather than by load_dataset, which writes a copy into the user's cache.
    splits = {}
    for split in ("train", "validation", "test"):
        lines = (DATA / f"{name}_{split}.jsonl").read_text(encoding="ascii").splitlines()
        splits[split] = datasets.Dataset.from_list([json.loads(line) for line in lines])
    return datasets.DatasetDict(splits)


def word_problems(**_: Any) -> datasets.DatasetDict:
    return _load("word_problems")


def side(**_: Any) -> datasets.DatasetDict:
    return _load("side")


def read_answer(text: str) -> str | None:
    """Return what stands after the last ``####``, or None if nothing does."""
    _, mark, answer = text.rpartition(MARK)
    return answer.strip() or None if mark else None


def count_steps(text: str) -> int:
    """Count the worked lines, right or wrong."""
    return sum(bool(_STEP.fullmatch(line.strip())) for line in text.splitlines())


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Score one generation: exact answer, any answer at all, worked lines written."""
    answer = read_answer(results[0])
    return {
        "exact_match": float(answer == doc["answer"]),
        "has_answer": float(answer is not None),
        "steps": float(count_steps(results[0])),
    }
