"""SciQ as a question to answer in words: lettered choices in an order fixed by the item."""

import random
from typing import Any

import datasets

LETTERS = "ABCD"


def _lettered(item: dict[str, Any]) -> dict[str, Any]:
    choices = [item["correct_answer"], *(item[f"distractor{i}"] for i in (1, 2, 3))]
    random.Random(f"choices|{item['question']}").shuffle(choices)
    lines = [f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=True)]
    gold = LETTERS[choices.index(item["correct_answer"])]
    return {**item, "choices": "\n".join(lines), "letter": gold}


def with_choices(items: datasets.Dataset) -> datasets.Dataset:
    """Add the columns ``choices`` (four lettered lines) and ``letter`` (the right one)."""
    return datasets.Dataset.from_list([_lettered(item) for item in items])
