"""An engine for the embedded family, what it answers, and what it holds."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from rvec_merge.experiment.conditions import State
from tests.conftest import REPOSITORY

RECIPE = REPOSITORY / "recipes" / "tiny.yaml"
VECTOR, TARGET, RANDOM = State("vector", 0.5), State("target"), State("random", 0.5, 3)
QUESTIONS = [
    "Start with 3. Add 4. Take away 2. What is left?",
    "Start with 7. Take away 5. Add 1. What is left?",
    "Start with 2. Add 2. Add 2. What is left?",
    "Start with 9. Take away 8. Take away 1. What is left?",
    "Start with 1. Add 8. Take away 4. What is left?",
    "Start with 5. Add 5. Take away 9. What is left?",
]
APART = """
import json, sys
from pathlib import Path
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.store import Store
from rvec_merge.recipe.read import read_recipe
from tests.experiment.backends.vllm_on_a_cpu import QUESTIONS, answers, loaded
folder, recipe, parallel, states = json.loads(sys.argv[1])
engine = loaded(Path(folder), read_recipe(recipe) if recipe else None, parallel)
for state in states:
    engine.become(State(**state))
print(json.dumps(answers(engine, QUESTIONS)))
engine.close()
"""


def apart(folder: Path, recipe: Path | None = None, parallel: int = 1, *states: State) -> list[str]:
    """The answers of an engine in a process of its own, after some states if it has a recipe."""
    told = [f"{folder}", recipe and f"{recipe}", parallel, [asdict(state) for state in states]]
    done = subprocess.run(
        [sys.executable, "-c", APART, json.dumps(told)],
        capture_output=True, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def loaded(folder: Path, recipe: Any, parallel: int = 1) -> Any:
    from rvec_merge.experiment.backends.vllm import Vllm

    return Vllm("cpu", parallel, max_model_len=512).load(folder, plan_of(RECIPE), recipe)


def plan_of(recipe: Path) -> Any:
    from rvec_merge.experiment.plan import Plan

    return Plan(
        recipe=str(recipe), tasks=["rvec_tiny"], scales=[0.5], selection={"by": "same_items"}
    )


def answers(engine: Any, prompts: list[str], **generation: Any) -> list[str]:
    """What lm-eval gets for its requests."""
    from lm_eval.api.instance import Instance

    settings = {"until": ["\n\n"], "max_gen_toks": 24, **generation}
    requests = [
        Instance(
            request_type="generate_until",
            doc={},
            arguments=(engine.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            ), settings),
            idx=0,
        )
        for prompt in prompts
    ]  # fmt: skip
    found: list[str] = engine.lm.generate_until(requests, disable_tqdm=True)
    return found


def held(engine: Any) -> dict[str, torch.Tensor]:
    """The engine's parameters, vLLM's fused ones taken apart.

    On a CPU a layer multiplies with a packed copy, and keeps nothing else: what it multiplies
    with is what it makes of the unit matrix, exactly.
    """

    def parameters(worker: Any) -> dict[str, torch.Tensor]:
        from vllm.model_executor.layers.linear import LinearBase
        from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

        model = worker.model_runner.get_model()
        read = {n: v.detach().clone() for n, v in model.named_parameters() if v.numel()}
        for name, module in model.named_modules():
            if isinstance(module, LinearBase | ParallelLMHead):
                size = getattr(module, "input_size", None) or module.embedding_dim
                made = module.quant_method.apply(module, torch.eye(size), None)
                read[f"{name}.weight"] = made.T.contiguous()
        return read

    (found,) = engine._llm.collective_rpc(parameters)
    config = engine._llm.llm_engine.model_config.hf_config
    size = config.hidden_size // config.num_attention_heads
    q, kv = config.num_attention_heads * size, config.num_key_value_heads * size
    apart: dict[str, torch.Tensor] = {}
    for name, value in found.items():
        if "qkv_proj" in name:
            for part, rows in zip("qkv", value.split([q, kv, kv]), strict=True):
                apart[name.replace("qkv_proj", f"{part}_proj")] = rows
        elif "gate_up_proj" in name:
            for part, rows in zip(("gate", "up"), value.chunk(2), strict=True):
                apart[name.replace("gate_up_proj", f"{part}_proj")] = rows
        else:
            apart[name] = value
    return apart
