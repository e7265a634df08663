"""Supervised and reinforcement fine-tuning, both through TRL's trainers on the CPU."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

from .language import Turn
from .scoring import read_answer

Say = Callable[[str], None]
LONGEST_ANSWER = 48  # four worked lines of three-digit numbers, and the answer


def supervise(
    model: Any, tokenizer: Any, turns: list[Turn], *, steps: int, size: int, lr: float,
    seed: int, say: Say,
) -> Any:  # fmt: skip
    """Fine-tune on responses; questions carry no loss."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [
        {
            "prompt": [{"role": "user", "content": turn.question}],
            "completion": [{"role": "assistant", "content": turn.response}],
        }
        for turn in turns
    ]
    with tempfile.TemporaryDirectory() as scratch:
        config = SFTConfig(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=size,
            learning_rate=lr,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, steps // 20),
            adam_beta2=0.98,
            weight_decay=0.01,
            max_length=256,
            **_common(seed),
        )
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        return _train(trainer, say, "loss", every=50)


def reinforce(
    model: Any, tokenizer: Any, turns: list[Turn], *, steps: int, prompts: int, samples: int,
    lr: float, seed: int, say: Say,
) -> Any:  # fmt: skip
    """GRPO with reward 1 for the exact answer after ``####``, whatever comes before it."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def exact_answer(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
        written = [completion[0]["content"] for completion in completions]
        return [float(read_answer(t) == a) for t, a in zip(written, answer, strict=True)]

    rows = [
        {"prompt": [{"role": "user", "content": turn.question}], "answer": turn.answer}
        for turn in turns
    ]
    with tempfile.TemporaryDirectory() as scratch:
        config = GRPOConfig(
            output_dir=scratch,
            max_steps=steps,
            # TRL counts completions here, not prompts.
            per_device_train_batch_size=prompts * samples,
            num_generations=samples,
            max_completion_length=LONGEST_ANSWER,
            temperature=1.0,
            learning_rate=lr,
            lr_scheduler_type="linear",
            warmup_steps=5,
            beta=0.0,
            loss_type="dapo",
            scale_rewards="group",
            **_common(seed),
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=exact_answer,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        return _train(trainer, say, "reward", every=10)


def _common(seed: int) -> dict[str, Any]:
    return {
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "logging_steps": 10,
        "seed": seed,
        "data_seed": seed,
    }


def quiet() -> None:
    """Leave the progress lines to ourselves: three libraries' bars would bury them."""
    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    # TRL sets the name that transformers 5 is leaving behind.
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing")


def _train(trainer: Any, say: Say, figure: str, every: int) -> Any:
    from transformers import PrinterCallback, TrainerCallback

    class Progress(TrainerCallback):
        started = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            step, steps = state.global_step, state.max_steps
            if figure in (logs or {}) and step % every == 0:
                left = (time.monotonic() - self.started) / step * (steps - step)
                say(f"{step}/{steps}  {figure} {float(logs[figure]):.3f}  {left:.0f} s left")

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress())
    trainer.train()
    return trainer.model.float()
