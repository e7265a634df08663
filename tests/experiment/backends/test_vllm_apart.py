"""vLLM's engine beside others: a fresh one, one of two workers, one on a Ray cluster."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rvec_merge as rv
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.store import Store
from rvec_merge.recipe.read import read_recipe
from tests.conftest import REPOSITORY
from tests.experiment.backends.vllm_on_a_cpu import (
    QUESTIONS,
    RANDOM,
    RECIPE,
    TARGET,
    VECTOR,
    answers,
    apart,
)

pytest.importorskip("vllm")
pytestmark = pytest.mark.timeout(900)


def test_the_outputs_are_those_of_a_fresh_engine_on_the_merged_folder(
    engine: Any, merged: Path
) -> None:
    """After other states, and their prompts: neither a head nor a cache keeps anything of them."""
    for state in (TARGET, RANDOM, VECTOR):
        engine.become(state)
        found = answers(engine, QUESTIONS)
    assert found == apart(merged)
    engine.become(TARGET)
    other = answers(engine, QUESTIONS)
    assert other != found
    engine.become(VECTOR)
    assert answers(engine, QUESTIONS) == found


def test_two_workers_that_share_the_model_answer_as_one(engine: Any) -> None:
    engine.become(VECTOR)
    target = Path(read_recipe(RECIPE).config.target.model.path)
    assert apart(target, RECIPE, 2, TARGET, VECTOR) == answers(engine, QUESTIONS)


def test_a_mixture_of_experts_answers_as_a_fresh_engine(tmp_path: Path) -> None:
    """A CPU packs experts as it loads them: what is loaded again must be packed again."""
    from transformers import AutoTokenizer, Qwen3MoeConfig, Qwen3MoeForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(read_recipe(RECIPE).config.target.model.path)
    config = Qwen3MoeConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, intermediate_size=64, moe_intermediate_size=64,
        num_experts=4, num_experts_per_tok=2, max_position_embeddings=512,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Qwen3MoeForCausalLM(config).float()
    for role in ("target", "sft", "grpo"):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.save_pretrained(tmp_path / role)
        tokenizer.save_pretrained(tmp_path / role)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"merge_method: reasoning_vector\nbase_model: {tmp_path}/target\nmodels:\n"
        f"  - {{model: {tmp_path}/grpo, parameters: {{role: grpo}}}}\n"
        f"  - {{model: {tmp_path}/sft, parameters: {{role: sft}}}}\n"
        "parameters: {scale: 1.0}\nout_dtype: float32\n"
    )
    rv.merge(str(recipe), tmp_path / "out")
    found = apart(tmp_path / "target", recipe, 1, TARGET, State("vector", 1.0))
    assert found == apart(tmp_path / "out")
    assert found != apart(tmp_path / "target")


def test_an_experiment_on_a_cluster_writes_what_it_writes_here(
    plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    """By the command, forced steps among its cells."""
    pytest.importorskip("ray")
    plan = plan_file(limit=4, scales=[0.5], selection={"by": "same_items"}, perturbations=[])
    program = "from rvec_merge.cli import main; main()"
    cells = {}
    common = ["--backend", "vllm", "--max-model-len", "512"]
    for engine, options in (("local", []), ("ray", ["--workers", "1"])):
        out = str(tmp_path / engine)
        told = [str(plan), "-o", out, *common, "--engine", engine, *options]
        command = [sys.executable, "-c", program, "experiment", *told]
        done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
        assert done.returncode == 0, done.stderr[-3000:]
        store = Store(tmp_path / engine)
        results = [store.find(path.name) for path in (tmp_path / engine).glob("cells/*")]
        cells[engine] = {
            (result.condition, row["task"], row["doc_id"]): (row["resps"], row["doc"])
            for result in results
            if result is not None
            for row in result.samples()
        }
    assert cells["local"] == cells["ray"]
    forced = [v for (condition, *_), v in cells["local"].items() if "forced" in condition]
    assert len(forced) == 8
    for answer, doc in forced:
        assert answer[0][0].partition("####")[0].count("\n") >= doc["n_steps"]
