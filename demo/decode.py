"""Fast batched greedy decoding of the family's small models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from .model import prompt_ids
from .scoring import MARK, count_steps, read_answer

END = 2  # <|im_end|>, by construction of the tokenizer


@dataclass(frozen=True)
class Written:
    """What a model wrote for one item."""

    text: str
    correct: bool
    parsable: bool
    steps: int


@dataclass(frozen=True)
class Withhold:
    """Forbids ``####`` and the end until row i has written ``lines[i]`` lines."""

    lines: list[int]
    mark: int
    newline: int


@torch.no_grad()
def greedy(
    model: Any, prompts: list[list[int]], limit: int = 72, withhold: Withhold | None = None
) -> list[list[int]]:
    """Continue every prompt until its end token or ``limit`` tokens."""
    count, width = len(prompts), max(map(len, prompts))
    ids = torch.zeros(count, width, dtype=torch.long)
    mask = torch.zeros(count, width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    cache = DynamicCache()
    written: list[list[int]] = [[] for _ in prompts]
    rows = torch.arange(count)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    length = mask.sum(1)
    for _ in range(limit):
        hidden = model.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        logits = model.lm_head(hidden)
        if withhold is not None:
            for i, row in enumerate(rows.tolist()):
                if written[row].count(withhold.newline) < withhold.lines[row]:
                    logits[i, [withhold.mark, END]] = -torch.inf
        following = logits.argmax(-1)
        for row, token in zip(rows.tolist(), following.tolist(), strict=True):
            written[row].append(token)
        alive = following != END
        if not alive.any():
            break
        # Finished rows are dropped once they are many; copying the cache has its price too.
        if alive.float().mean() < 0.8:
            keep = alive.nonzero()[:, 0]
            rows, mask, following, length = rows[keep], mask[keep], following[keep], length[keep]
            cache.batch_select_indices(keep)
        mask = torch.cat([mask, torch.ones(len(rows), 1, dtype=torch.long)], 1)
        ids, positions, length = following[:, None], length[:, None], length + 1
    return [row[: row.index(END) + 1] if END in row else row for row in written]


def answer_all(
    model: Any,
    tokenizer: Any,
    questions: list[str],
    answers: list[str],
    forced_steps: list[int] | None = None,
    batch: int = 300,
) -> list[Written]:
    """Answer every question greedily and score it, in the order given.

    ``forced_steps`` withholds the final answer of item i until that many lines are written: it
    tells *not writing the steps* from *not being able to*.
    """
    prompts = [prompt_ids(tokenizer, question) for question in questions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    results: dict[int, Written] = {}
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        withhold = None
        if forced_steps is not None:
            withhold = Withhold(
                [forced_steps[i] for i in chosen],
                tokenizer.convert_tokens_to_ids(MARK),
                tokenizer.encode("\n")[0],
            )
        for i, ids in zip(
            chosen, greedy(model, [prompts[i] for i in chosen], 72, withhold), strict=True
        ):
            text = tokenizer.decode([t for t in ids if t != END])
            answer = read_answer(text) if ids[-1] == END else None
            results[i] = Written(text, answer == answers[i], answer is not None, count_steps(text))
    return [results[i] for i in range(len(questions))]
