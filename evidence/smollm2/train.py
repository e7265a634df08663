"""Train the donors anew: ``make real-train``. TRL's own trainers, LoRA on every linear layer.

``sft`` learns worked solutions from SmolLM2-135M-Instruct. ``grpo`` goes on from ``sft`` on the
same problems with reward 1 for a right answer; ``spurious`` does the same with a coin for a
reward. A stage is finished when its folder under ``--out`` exists; an interrupted one goes on at
its last whole checkpoint, on this machine or on another that was given a copy of ``--out``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from evidence.smollm2.answers import accuracy, by_chance, earned
from evidence.smollm2.fetch import fetch
from rvec_merge.errors import EnvironmentProblem, OutputError, RvecError, system_error

STAGES = ("sft", "grpo", "spurious")
Reward = Callable[[Sequence[str], Sequence[str]], list[float]]
REWARDS: dict[str, Reward] = {"grpo": earned, "spurious": by_chance}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the adapters, apart from the problems themselves."""

    rank: int = 2
    alpha: int = 16
    problems: int = 3000
    sft_steps: int = 60
    sft_batch: int = 32
    sft_lr: float = 5e-4
    grpo_from: str = "sft"
    grpo_steps: int = 60
    grpo_lr: float = 1e-4
    prompts: int = 32
    samples: int = 8
    longest: int = 128
    seed: int = 7

    def shortened(self) -> Settings:
        """Enough to run every line of every stage, and to learn nothing."""
        return replace(
            self, problems=32, sft_steps=2, sft_batch=4, grpo_steps=2, prompts=2, longest=24
        )


@dataclass(frozen=True)
class Workshop:
    """Where the stages read and write."""

    out: Path
    model: Path
    settings: Settings

    def run(self, stage: str) -> None:
        """Train a stage, unless that is done; refuse to go on with another's settings."""
        done, working = self.out / stage, self.out / f"{stage}.working"
        if done.is_dir():
            return say(stage, "trained before")
        working.mkdir(parents=True, exist_ok=True)
        self._same_settings(working)
        parent = None if stage == "sft" or self.settings.grpo_from == "base" else self.out / "sft"
        started = time.monotonic()
        trainer = trainer_of(stage, self.model, parent, self.settings, working)
        trainer.train(resume_from_checkpoint=_begun(working))
        result = self._scored(trainer, stage, time.monotonic() - started)
        trainer.save_model(str(working / "adapter"))
        log = [json.dumps(row) for row in [*trainer.state.log_history, result]]
        (working / "adapter" / "log.jsonl").write_text("\n".join(log) + "\n", encoding="utf-8")
        (working / "adapter").rename(done)
        shutil.rmtree(working)
        return None

    def _same_settings(self, working: Path) -> None:
        kept, now = working / "settings.json", json.dumps(asdict(self.settings), indent=2) + "\n"
        if kept.is_file() and kept.read_text(encoding="utf-8") != now:
            raise OutputError(
                "A stage was begun with other settings.",
                [f"{kept}"],
                f"remove {working} to begin it anew, or name another folder with --out.",
            )
        kept.write_text(now, encoding="utf-8")

    def _scored(self, trainer: Any, stage: str, seconds: float) -> dict[str, Any]:
        from rvec_merge.tasks.generated import story
        from rvec_merge.tasks.generated.draw import drawn

        count = min(story.SIZES["validation"], self.settings.problems)
        items = list(drawn(story.make, "validation", story.SEED, count))
        trainer.model.eval()
        share = accuracy(trainer.model, trainer.processing_class, items, self.settings.longest)
        say(stage, f"{100 * share:.1f} % of {count} validation problems right, {seconds:.0f} s")
        return {"validation_accuracy": share, "validation_problems": count, "seconds": seconds}


def _begun(working: Path) -> str | None:
    """The last checkpoint that is whole: its trainer's state is written last."""
    states = working.glob("checkpoint-*/trainer_state.json")
    folders = sorted((state.parent for state in states), key=lambda f: int(f.name.split("-")[1]))
    return str(folders[-1]) if folders else None


def trainer_of(stage: str, base: Path, parent: Path | None, s: Settings, working: Path) -> Any:
    """TRL's trainer of a stage: from the model, or from another stage's adapter."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    from rvec_merge.tasks.generated import story
    from rvec_merge.tasks.generated.draw import drawn

    set_seed(s.seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if parent is None:
        linear = LoraConfig(
            r=s.rank, lora_alpha=s.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        model = get_peft_model(model, linear)
    else:
        model = PeftModel.from_pretrained(model, parent, is_trainable=True)
    items = list(drawn(story.make, "train", story.SEED, s.problems))
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = [
        {
            "prompt": [{"role": "user", "content": item["question"]}],
            **(
                {"completion": [{"role": "assistant", "content": item["solution"]}]}
                if stage == "sft"
                else {"gold": item["answer"]}
            ),
        }
        for item in items
    ]
    make = _sft if stage == "sft" else _grpo
    trainer = make(stage, model, s, working, train_dataset=Dataset.from_list(rows),
                   processing_class=tokenizer)  # fmt: skip
    _report(trainer, stage)
    return trainer


def _sft(stage: str, model: Any, s: Settings, working: Path, **data: Any) -> Any:
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(
        max_steps=s.sft_steps,
        per_device_train_batch_size=s.sft_batch,
        learning_rate=s.sft_lr,
        lr_scheduler_type="cosine",
        max_length=512,
        **_common(s, working),
    )
    return SFTTrainer(model=model, args=config, **data)


def _grpo(stage: str, model: Any, s: Settings, working: Path, **data: Any) -> Any:
    from trl import GRPOConfig, GRPOTrainer

    reward = REWARDS[stage]

    def rewarded(completions: list[Any], gold: list[str], **_: Any) -> list[float]:
        return reward([completion[0]["content"] for completion in completions], gold)

    rewarded.__name__ = stage
    per_pass = min(64, s.prompts * s.samples)
    config = GRPOConfig(
        max_steps=s.grpo_steps,
        per_device_train_batch_size=per_pass,
        gradient_accumulation_steps=s.prompts * s.samples // per_pass,
        num_generations=s.samples,
        max_completion_length=s.longest,
        temperature=1.0,
        learning_rate=s.grpo_lr,
        lr_scheduler_type="constant",
        beta=0.0,
        loss_type="dapo",
        scale_rewards="group",
        **_common(s, working),
    )
    return GRPOTrainer(model=model, reward_funcs=rewarded, args=config, **data)


def _common(s: Settings, working: Path) -> dict[str, Any]:
    import torch

    return {
        "output_dir": str(working),
        "use_cpu": not torch.cuda.is_available(),
        "tf32": True if torch.cuda.is_available() else None,
        "bf16": False,
        "gradient_checkpointing": False,
        "save_steps": 10,
        "save_total_limit": 1,
        "report_to": [],
        "disable_tqdm": True,
        "logging_steps": 1,
        "seed": s.seed,
        "data_seed": s.seed,
    }


def _report(trainer: Any, stage: str) -> None:
    from transformers import PrinterCallback, TrainerCallback

    class Progress(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            for figure in ("loss", "reward"):
                if figure in (logs or {}) and state.global_step % 5 == 0:
                    say(
                        stage,
                        f"{state.global_step}/{state.max_steps} {figure} {float(logs[figure]):.3f}",
                    )

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress())


def say(stage: str, text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {stage:10} {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path("out/smollm2"), help="the model's folder")
    parser.add_argument("--out", type=Path, help="working folder; HOME/train")
    parser.add_argument("--stage", choices=STAGES, help="this stage alone")
    parser.add_argument("--short", action="store_true", help="run every line, learn nothing")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    options = parser.parse_args()
    settings = Settings()
    for name, value in options.set:
        settings = replace(settings, **{name: type(getattr(settings, name))(value)})
    if options.short:
        settings = settings.shortened()
    try:
        if find_spec("trl") is None:
            raise EnvironmentProblem("Training needs TRL.", [], "pip install 'rvec-merge[train]'")
        out = options.out or options.home / ("train-short" if options.short else "train")
        workshop = Workshop(out, fetch(options.home), settings)
        for stage in (options.stage,) if options.stage else STAGES:
            workshop.run(stage)
    except RvecError as error:
        raise SystemExit(str(error)) from None
    except OSError as error:
        raise SystemExit(str(system_error(error))) from None


if __name__ == "__main__":
    main()
