"""The resident model is the one that transformers loads from what ``rvec merge`` writes.

Logits are compared bit for bit: whatever reaches them was loaded, tied and recomputed alike.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from rvec_merge.errors import IncompatibleTensorsError, PlanError
from rvec_merge.experiment.backends.model_weights import ResidentWeights
from rvec_merge.experiment.conditions import State
from rvec_merge.merge.run import merge
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import make_triple

UNTIED = {"tie_word_embeddings": False}
ALL = ("target", "sft", "grpo")
# Architecture, settings, and who stores output embeddings that differ from the tied input's.
ARCHITECTURES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("Qwen2", {}, ()),
    ("Qwen2", {}, ("sft", "grpo")),  # what PEFT leaves of modules_to_save
    ("Qwen2", {}, ("grpo",)),
    ("Qwen2", {}, ("target",)),
    ("Qwen2", {}, ALL),
    ("Qwen2", UNTIED, ()),
    ("Qwen3", {}, ("sft", "grpo")),
    ("Llama", {}, ALL),
    ("Llama", UNTIED, ()),
    ("Gemma2", {"head_dim": 8}, ("sft", "grpo")),
    ("Phi3", {"pad_token_id": 0, **UNTIED}, ()),
    ("Mistral", {}, ("target",)),
    ("Olmo2", {}, ()),
    ("Starcoder2", {}, ("sft", "grpo")),
    ("Granite", {}, ()),
    ("StableLm", UNTIED, ()),
]
STATES = [
    State("vector", 0.5),
    State("sft"),
    State("random", 0.5, 1),
    State("grpo"),
    State("permuted", -0.5, 2),
    State("vector", -0.25),
    State("target"),
]


def mask(scale: float) -> Any:
    """Nothing for the MLPs, a gradient over the layers for attention, all for the rest."""
    attention = {"filter": "self_attn", "value": [0.25 * scale, scale]}
    return {"scale": [{"filter": "mlp", "value": 0.0}, attention, {"value": scale}]}


def number(scale: float) -> Any:
    return {"scale": scale}


def gradient(scale: float) -> Any:
    return {"scale": [0.25 * scale, scale], "density": 0.3}


# What a recipe says beside its models, and its parameters for a state's scale.
RECIPES: dict[str, tuple[Callable[[float], Any], dict[str, Any]]] = {
    "a number": (number, {}),
    "a number as text": (lambda scale: {"scale": f"{scale:e}"}, {}),
    "a mask": (mask, {}),
    "a gradient and a density": (gradient, {}),
    "weights of two pairs": (mask, {"weights": [0.5, -2.0]}),
    "slices with a scale of their own": (number, {"slices": [None, 0.25]}),
    "a dtype that rounds": (mask, {"dtype": "bfloat16"}),
}


def recipe(folders: dict[str, Path], name: str, state: State, precision: str) -> str:
    """The recipe whose merge is the state."""
    parameters, extra = RECIPES[name]
    scale = state.scale or 1.0
    weights, slices = extra.get("weights", [1.0]), extra.get("slices")
    models = [
        {"model": str(folders[role if n == 0 else f"{role}2"]), "parameters": given}
        for n, weight in enumerate(weights)
        for role, given in (
            ("grpo", {"role": "grpo", "pair": f"p{n}", "weight": weight}),
            ("sft", {"role": "sft", "pair": f"p{n}"}),
        )
    ]
    control = {"control": state.kind, "seed": state.seed} if state.seed else {}
    said: dict[str, Any] = {
        "merge_method": "reasoning_vector",
        "base_model": str(folders["target"]),
        "parameters": {**parameters(scale), **control},
        "out_dtype": precision,
    }
    said |= {"dtype": extra["dtype"]} if "dtype" in extra else {}
    if slices is None:
        return yaml.safe_dump({**said, "models": models})
    sources = [{"model": str(folders["target"])}, *models]
    pieces = [
        {
            "sources": [{**source, "layer_range": [layer, layer + 1]} for source in sources],
            **({} if own is None else {"parameters": {"scale": own * scale}}),
        }
        for layer, own in enumerate(slices)
    ]
    return yaml.safe_dump({**said, "slices": pieces})


def load(folder: Path, precision: str = "float32") -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, precision)).eval()


@torch.inference_mode()
def logits(model: Any) -> torch.Tensor:
    return model(torch.arange(1, 25)[None]).logits


def store_heads(folders: dict[str, Path], names: tuple[str, ...]) -> None:
    for seed, name in enumerate(names):
        tensors = load_file(folders[name] / "model.safetensors")
        torch.manual_seed(seed)
        head = tensors["model.embed_tokens.weight"]
        tensors["lm_head.weight"] = head + 0.05 * torch.randn(head.shape).to(head.dtype)
        save_file(tensors, folders[name] / "model.safetensors", {"format": "pt"})


def assert_resident(
    folders: dict[str, Path], name: str, states: list[State], tmp: Path, precision: str = "float32"
) -> None:
    """Whichever states came before."""
    base = parse_recipe(recipe(folders, name, State("vector", 1.0), precision))
    model = load(folders["target"], precision)
    weights = ResidentWeights(base, model)
    for number, state in enumerate(states):
        weights.become(state)
        folder = folders.get(state.kind)
        if folder is None:
            folder = tmp / f"merged-{number}"
            merge(parse_recipe(recipe(folders, name, state, precision)), folder)
        expected = logits(load(folder, precision))
        assert torch.equal(logits(model), expected), (state.label, precision)


@pytest.mark.parametrize(("kind", "settings", "heads"), ARCHITECTURES)
def test_each_architecture_in_memory_is_the_one_on_disk(kind, settings, heads, tmp_path):
    folders = make_triple(tmp_path, kind, **settings)
    store_heads(folders, heads)
    assert_resident(folders, "a mask", STATES[:4], tmp_path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A triple whose donors store heads of their own, and a second pair in another dtype.

    One config says that there is no quantization, which is no quantization.
    """
    root = tmp_path_factory.mktemp("resident")
    first, second = make_triple(root / "first"), make_triple(root / "second")
    for folder in second.values():
        path = folder / "model.safetensors"
        wide = {k: v.float() * 1.001 for k, v in load_file(path).items()}
        save_file(wide, path, {"format": "pt"})
    store_heads(first, ("sft", "grpo"))
    config = json.loads((first["grpo"] / "config.json").read_text())
    (first["grpo"] / "config.json").write_text(json.dumps({**config, "quantization_config": None}))
    return {**first, "grpo2": second["grpo"], "sft2": second["sft"]}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_in_memory_is_the_one_on_disk(name, folders, tmp_path):
    states = STATES if name not in {"weights of two pairs"} else STATES[::2]
    assert_resident(folders, name, states, tmp_path)


def test_in_bfloat16_too(folders, tmp_path):
    assert_resident(folders, "a mask", STATES, tmp_path, "bfloat16")


def test_donors_wider_than_the_recipes_dtype_are_evaluated_as_they_are(folders, tmp_path):
    """A recipe's dtype rounds what is merged, not the donor that is evaluated."""
    wide = {**folders, "grpo": folders["grpo2"], "sft": folders["sft2"]}
    assert_resident(wide, "a dtype that rounds", STATES, tmp_path)


def test_the_target_may_be_its_own_sft_donor(folders, tmp_path):
    same = {**folders, "sft": folders["target"]}
    assert_resident(same, "a mask", STATES, tmp_path)


def test_a_parameter_that_no_checkpoint_names_is_refused(folders):
    """It would keep the target's weights, whatever the state."""
    model = load(folders["target"])
    model.model.extra = torch.nn.Linear(2, 2)
    base = parse_recipe(recipe(folders, "a number", State("vector", 1.0), "float32"))
    with pytest.raises(PlanError, match="2 parameters have other names") as caught:
        ResidentWeights(base, model)
    assert "model.extra.weight" in caught.value.facts


def test_donors_of_several_pairs_are_refused(folders):
    base = recipe(folders, "weights of two pairs", State("vector", 1.0), "float32")
    weights = ResidentWeights(parse_recipe(base), load(folders["target"]))
    with pytest.raises(PlanError, match="The recipe has 2 grpo donors"):
        weights.become(State("grpo"))


def test_what_a_plan_allows_to_differ_is_evaluated(folders, tmp_path):
    longer = shutil.copytree(folders["grpo"], tmp_path / "longer")
    config = json.loads((longer / "config.json").read_text())
    config["rope_parameters"] = {**config["rope_parameters"], "rope_theta": 5e5}
    (longer / "config.json").write_text(json.dumps(config))
    text = recipe({**folders, "grpo": longer}, "a number", State("vector", 1.0), "float32")
    base, model = parse_recipe(text), load(folders["target"])
    with pytest.raises(IncompatibleTensorsError, match=r"allow: \[rope_parameters\]"):
        ResidentWeights(base, model)
    weights = ResidentWeights(base, model, allowed=("rope_parameters",))
    weights.become(State("vector", 1.0))
    same = ResidentWeights(
        parse_recipe(recipe(folders, "a number", State("vector", 1.0), "float32")),
        other := load(folders["target"]),
    )
    same.become(State("vector", 1.0))
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
