"""vLLM with weights changed in place, where vLLM is installed: one engine for all of it.

``make vllm`` makes the environment. The embedded family is small enough to show what larger models
hide: a tied head that keeps old weights, prompts that are remembered from another state.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import rvec_merge as rv
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.weights import StateWeights, fresh
from rvec_merge.recipe.read import read_recipe
from tests.conftest import load_tensors
from tests.experiment.backends.vllm_on_a_cpu import (
    QUESTIONS,
    RANDOM,
    RECIPE,
    TARGET,
    VECTOR,
    answers,
    held,
    plan_of,
)

pytest.importorskip("vllm")
pytestmark = pytest.mark.timeout(900)


def test_the_parameters_have_the_bits_of_the_merge(engine: Any, merged: Path) -> None:
    effect = engine.become(VECTOR)
    assert effect.effective_scale == pytest.approx(0.5, abs=1e-6)
    found, wanted = held(engine), load_tensors(merged)
    missing = [name for name in wanted if name not in found]
    assert missing == []
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name
    assert torch.equal(found["lm_head.weight"], wanted["model.embed_tokens.weight"])  # a tied head


STATES = [
    TARGET,
    State("grpo"),
    State("sft"),
    State("vector", -1.0),
    RANDOM,
    State("permuted", 0.5, 1),
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_every_kind_of_state_has_the_bits_of_the_stream(engine: Any, state: State) -> None:
    """The head too: it is tied, and a CPU multiplies with a packed copy of it."""
    engine.become(state)
    found, weights = held(engine), StateWeights(read_recipe(RECIPE))
    wanted = dict(weights.tensors(state, fresh(torch.float32)))
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
    assert torch.equal(found["lm_head.weight"], wanted["model.embed_tokens.weight"])


def test_no_prompt_is_remembered_from_another_state(engine: Any) -> None:
    from vllm import SamplingParams, TokensPrompt

    def remembered() -> int:
        prompt = TokensPrompt(prompt_token_ids=list(range(10, 110)))
        (output,) = engine._llm.generate([prompt], SamplingParams(max_tokens=1), use_tqdm=False)
        return int(output.num_cached_tokens)

    engine.become(TARGET)
    remembered()
    assert remembered() > 0
    engine.become(VECTOR)
    assert remembered() == 0


def test_a_change_takes_the_threads_that_torch_was_given(engine: Any) -> None:
    """vLLM makes ``torch.set_num_threads`` do nothing: none is lost to a change of weights."""
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    assert torch.get_num_threads() == before
    engine.become(RANDOM)
    engine.become(VECTOR)
    assert torch.get_num_threads() == before


def test_lm_eval_has_what_is_pinned_of_its_class(engine: Any) -> None:
    """``SweepVLLM`` stands on these; what has moved is named."""
    from lm_eval.models.vllm_causallms import VLLM

    arguments = {
        "generate_until": ["self", "requests", "disable_tqdm"],
        "tok_encode": ["self", "string", "add_special_tokens", "kwargs"],
        "_model_generate": ["self", "requests", "generate", "sampling_params"],
    }
    found = {name: [*inspect.signature(getattr(VLLM, name)).parameters] for name in arguments}
    assert found == arguments
    asked = set(re.findall(r"self\.(\w+)", inspect.getsource(VLLM)))
    of_its_own_engine = {"model_args"}
    assert {name for name in asked if not hasattr(engine.lm, name)} == of_its_own_engine


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


MADE_OF = {
    "density": "parameters: {scale: 0.5, density: 0.3}",
    "control": "parameters: {scale: 0.5, control: random, seed: 5}",
    "mask": "parameters: {scale: [{filter: mlp, value: 0.5}, {value: 0.0}]}",
}


@pytest.fixture
def lent(engine: Any) -> Iterator[Any]:
    """The engine, for other recipes."""
    yield engine
    engine.open(read_recipe(RECIPE), plan_of(RECIPE), {})


@pytest.mark.parametrize("kind", [*MADE_OF, "compact vector", "adapters"])
def test_the_parameters_of_other_recipes(lent: Any, tmp_path: Path, kind: str) -> None:
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
    lent.open(read, plan_of(recipe), {})
    # A state is of the vector or of a control, and multiplies a mask, whatever the recipe says.
    states = {"control": State("random", 0.5, 5), "mask": State("vector", 1.0)}
    lent.become(states.get(kind, VECTOR))
    found, wanted = held(lent), load_tensors(tmp_path / "out")
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


def test_what_vllm_refuses_is_one_error_in_its_first_words(engine: Any) -> None:
    from rvec_merge.errors import CheckpointError
    from rvec_merge.experiment.backends.vllm import Vllm

    recipe = read_recipe(RECIPE)
    folder = Path(recipe.config.target.model.path)
    with pytest.raises(CheckpointError, match="vLLM cannot load a model") as caught:
        Vllm("cpu", 1, max_model_len=900_000).load(folder, plan_of(RECIPE), recipe)
    assert caught.value.facts[1].startswith("User-specified max_model_len (900000) is greater")
    assert caught.value.fix.startswith("lower --max-model-len")
