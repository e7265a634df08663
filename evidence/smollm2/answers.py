"""Reading the answer out of a solution: the reward of training, and validation's measure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def right(text: str, answer: str) -> bool:
    """Whether the last number of a text is the answer."""
    numbers = _NUMBER.findall(text)
    return bool(numbers) and float(numbers[-1].replace(",", "")) == float(answer)


def earned(texts: Sequence[str], answers: Sequence[str]) -> list[float]:
    """One for a right answer, else nothing."""
    return [float(right(text, answer)) for text, answer in zip(texts, answers, strict=True)]


def by_chance(texts: Sequence[str], answers: Sequence[str]) -> list[float]:
    """A coin for every text, the same for the same text: a reward that knows nothing.

    Source: spurious rewards (arXiv:2506.10947).
    """
    coins = (
        hashlib.sha256(f"{a} {t}".encode()).digest()[0] for t, a in zip(texts, answers, strict=True)
    )
    return [float(coin & 1) for coin in coins]


def accuracy(model: Any, tokenizer: Any, items: Sequence[dict[str, Any]], longest: int) -> float:
    """Share of items answered right, greedily, through the chat template."""
    import torch

    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": item["question"]}],
            tokenize=False,
            add_generation_prompt=True,
        )
        for item in items
    ]
    tokenizer.padding_side = "left"
    inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(model.device)
    with torch.no_grad():
        written = model.generate(**inputs, max_new_tokens=longest, do_sample=False)
    texts = tokenizer.batch_decode(
        written[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return sum(earned(texts, [item["answer"] for item in items])) / len(items)
