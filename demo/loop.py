"""The plain training loop of base and target, and what it reads."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from .language import Turn, base_document, target_turn
from .model import END_OF_TEXT, TURN_END, prompt_ids

CHAT_SHARE = 0.15


@dataclass(frozen=True)
class Example:
    """Token ids; those from ``first`` on count in the loss."""

    ids: list[int]
    first: int = 1


@dataclass(frozen=True)
class Batch:
    """Padded ``ids`` and the ``learn`` mask of tokens that count in the loss, both (b, t)."""

    ids: torch.Tensor
    learn: torch.Tensor


def base_examples(tokenizer: Any, seed: int) -> Iterator[Example]:
    """Endless base text: bare text, plain question and answer, or chat. All of it is learnt."""
    rng = random.Random(seed)
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    while True:
        document = base_document(rng)
        if not isinstance(document, Turn):
            yield Example([*tokenizer.encode(document), end])
        elif rng.random() < CHAT_SHARE:
            yield Example(_chat(tokenizer, document).ids)
        else:
            text = f"Question: {document.question}\nAnswer: "
            yield Example([*tokenizer.encode(text), *tokenizer.encode(document.response), end])


def target_examples(tokenizer: Any, seed: int) -> Iterator[Example]:
    """Endless turns of the target's instruction mixture; questions carry no loss."""
    rng = random.Random(seed)
    while True:
        yield _chat(tokenizer, target_turn(rng))


def _chat(tokenizer: Any, turn: Turn) -> Example:
    prompt = prompt_ids(tokenizer, turn.question)
    return Example(prompt + tokenizer.encode(f"{turn.response}{TURN_END}"), len(prompt))


def batches(examples: Iterator[Example], size: int, seed: int) -> Iterator[Batch]:
    """Pack examples of similar length together: padding would be a third of the work."""
    rng = random.Random(seed)
    while True:
        pool = sorted((next(examples) for _ in range(size * 32)), key=lambda e: len(e.ids))
        groups = [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(groups)
        for group in groups:
            width = max(len(example.ids) for example in group)
            ids = torch.zeros(len(group), width, dtype=torch.long)
            learn = torch.zeros(len(group), width, dtype=torch.bool)
            for row, example in enumerate(group):
                ids[row, : len(example.ids)] = torch.tensor(example.ids)
                learn[row, example.first : len(example.ids)] = True
            yield Batch(ids, learn)


def muon_and_adamw(model: torch.nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices; AdamW for embeddings, norms and biases.

    AdamW alone needs several times the steps before it learns to add.
    """
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    muon = torch.optim.Muon(
        matrices, lr=lr, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)]


def adamw(model: torch.nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    return [torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.01)]


def warmup_cosine(step: int, steps: int, warmup: float = 0.05, floor: float = 0.1) -> float:
    rise = min(1.0, (step + 1) / max(1.0, warmup * steps))
    return rise * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / steps)))


def fit(
    model: Any,
    stream: Iterator[Batch],
    optimizers: list[torch.optim.Optimizer],
    *,
    steps: int,
    lr: float,
    say: Callable[[str], None],
    every: int = 100,
) -> None:
    """Train ``model`` in place by next-token prediction."""
    started, seen, total = time.monotonic(), 0, 0.0
    model.train()
    for step in range(steps):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * warmup_cosine(step, steps)
        batch = next(stream)
        hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
        learn = batch.learn[:, 1:]
        # Only positions that count pass through the output matrix.
        loss = F.cross_entropy(model.lm_head(hidden[learn]), batch.ids[:, 1:][learn])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        seen += batch.ids.numel()
        total += loss.item()
        if (step + 1) % every == 0:
            spent = time.monotonic() - started
            left = spent / (step + 1) * (steps - step - 1)
            pace = f"{seen / spent:.0f} tokens/s  {left:.0f} s left"
            say(f"{step + 1}/{steps}  loss {total / every:.3f}  {pace}")
            total = 0.0
