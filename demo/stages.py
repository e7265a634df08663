"""The stages of the family: base, the two donors and the target.

``first`` is the family that ships. ``other`` differs in its initialisation alone: same text,
same order, same settings. Its vector is a control that must not transfer.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from . import language
from .finetune import quiet, reinforce, supervise
from .loop import adamw, base_examples, batches, fit, muon_and_adamw, target_examples
from .model import load_model, load_tokenizer, new_model, save, train_tokenizer

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights, apart from the language itself."""

    tokenizer_seed: int = 5
    text_seed: int = 1001
    batch: int = 32
    base_steps: int = 2200
    base_lr: float = 4e-3
    donor_problems: int = 3000
    sft_steps: int = 150
    sft_lr: float = 5e-4
    grpo_steps: int = 64
    grpo_lr: float = 3e-4
    grpo_prompts: int = 24
    grpo_samples: int = 8
    target_steps: int = 400
    target_lr: float = 5e-4

    def shortened(self) -> Settings:
        """Enough to run every line of every stage, and to learn nothing."""
        return replace(
            self, base_steps=20, donor_problems=64, sft_steps=4, grpo_steps=2, grpo_prompts=2,
            grpo_samples=4, target_steps=4,
        )  # fmt: skip


INITIAL_SEEDS = {"first": 101, "other": 102}
CHAINS = {"first": ("base", "sft", "grpo", "target"), "other": ("base", "sft", "grpo")}
PARENTS = {"sft": "base", "grpo": "sft", "target": "base"}


@dataclass(frozen=True)
class Workshop:
    """Where the stages read and write; a stage is finished when its folder exists."""

    root: Path
    settings: Settings

    @property
    def tokenizer(self) -> Path:
        return self.root / "tokenizer"

    def folder(self, chain: str, stage: str) -> Path:
        return self.root / chain / stage

    def make_tokenizer(self) -> None:
        if not self.tokenizer.exists():
            tokenizer = train_tokenizer(self.settings.tokenizer_seed)
            with _Whole(self.tokenizer) as partial:
                tokenizer.save_pretrained(partial, save_jinja_files=False)

    def run(self, chain: str, stage: str, say: Say) -> None:
        """Run one stage, unless its checkpoint is there."""
        out = self.folder(chain, stage)
        if out.exists():
            say("already there")
            return
        # One thread: the matrices are too small to share, and the other chain has a core too.
        torch.set_num_threads(1)
        quiet()
        started = time.monotonic()
        tokenizer = load_tokenizer(self.tokenizer)
        if stage == "base":
            model: Any = new_model(INITIAL_SEEDS[chain], len(tokenizer))
        else:
            parent = self.folder(chain, PARENTS[stage])
            if not parent.exists():
                raise SystemExit(f"{chain}/{stage} starts from {parent}, which does not exist.")
            model = load_model(parent)
        model = _TRAINERS[stage](model, tokenizer, self.settings, say)
        with _Whole(out) as partial:
            save(model, tokenizer, partial, torch.float32)
        say(f"finished in {time.monotonic() - started:.0f} s")


class _Whole:
    """A folder that appears under its name only when complete, so an interrupt leaves none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")

    def __enter__(self) -> Path:
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
        return self.partial

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.partial.rename(self.path)


def _base(model: Any, tokenizer: Any, s: Settings, say: Say) -> Any:
    stream = batches(base_examples(tokenizer, s.text_seed), s.batch, s.text_seed)
    optimizers = muon_and_adamw(model, s.base_lr)
    fit(model, stream, optimizers, steps=s.base_steps, lr=s.base_lr, say=say)
    return model


def _sft(model: Any, tokenizer: Any, s: Settings, say: Say) -> Any:
    turns = language.donor_turns(s.donor_problems, s.text_seed + 1)
    return supervise(
        model, tokenizer, turns, steps=s.sft_steps, size=s.batch, lr=s.sft_lr,
        seed=s.text_seed + 2, say=say,
    )  # fmt: skip


def _grpo(model: Any, tokenizer: Any, s: Settings, say: Say) -> Any:
    turns = language.donor_turns(s.donor_problems, s.text_seed + 1)
    return reinforce(
        model, tokenizer, turns, steps=s.grpo_steps, prompts=s.grpo_prompts,
        samples=s.grpo_samples, lr=s.grpo_lr, seed=s.text_seed + 3, say=say,
    )  # fmt: skip


def _target(model: Any, tokenizer: Any, s: Settings, say: Say) -> Any:
    stream = batches(target_examples(tokenizer, s.text_seed + 4), s.batch, s.text_seed + 4)
    optimizers = adamw(model, s.target_lr)
    fit(model, stream, optimizers, steps=s.target_steps, lr=s.target_lr, say=say)
    return model


_TRAINERS: dict[str, Callable[[Any, Any, Settings, Say], Any]] = {
    "base": _base,
    "sft": _sft,
    "grpo": _grpo,
    "target": _target,
}
