"""A finished cell is found again by its key: whatever its outcome depends on must change it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from rvec_merge.experiment.backends.hf import Transformers
from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.runner import CellRunner

CELL = Cell("rvec_tiny", State("vector", 0.5))
DONOR = replace(CELL, state=State("sft"))
# What changes, and the fields of the key that say so.
PLANS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "precision": ({"precision": "bfloat16"}, {"precision"}),
    "generation": ({"generation": {"max_gen_toks": 7}}, {"generation"}),
    "chat template": ({"chat_template": False}, {"chat_template"}),
    "batch size": ({"batch_size": 15}, {"batch_size"}),
    "limit": ({"limit": 15}, {"limit", "task"}),
    "seed": ({"seed": 1}, {"seed"}),
    "thinking": ({"thinking": {"end": "</think>"}}, {"thinking"}),
}
CELLS: dict[str, tuple[Cell, set[str]]] = {
    "scale": (replace(CELL, state=State("vector", 0.25)), {"weights"}),
    "control": (replace(CELL, state=State("random", 0.5)), {"weights"}),
    "control's seed": (replace(CELL, state=State("random", 0.5, 1)), {"weights"}),
    "donor": (DONOR, {"weights"}),
    "think": (replace(CELL, prompt="think"), {"variant", "task"}),
    "perturbation": (replace(CELL, perturbation="typos"), {"variant", "task"}),
    "forced": (replace(CELL, forced=True), {"forced"}),
}
OTHERS = {"task", "backend", "versions", "own_prompts", "samples"}  # each in a test below


def runner(plan: Path, device: str = "cpu") -> CellRunner:
    from rvec_merge.experiment.run import prepare

    planned = prepare(plan)
    return CellRunner(planned.plan, planned.recipe, planned.book, Transformers(device))


def changed(before: tuple[CellRunner, Cell], after: tuple[CellRunner, Cell]) -> set[str]:
    """The fields that differ; the key differs with them."""
    a, b = before[0].depends(before[1]), after[0].depends(after[1])
    differing = {name for name in a | b if a.get(name) != b.get(name)}
    assert bool(differing) == (before[0].key(before[1]) != after[0].key(after[1]))
    return differing


def test_every_field_has_a_test(plan_file: Callable[..., Path]) -> None:
    told = [fields for _, fields in (*PLANS.values(), *CELLS.values())]
    assert set().union(OTHERS, *told) == set(runner(plan_file()).depends(CELL))


@pytest.mark.parametrize("name", PLANS)
def test_the_plans_settings(name: str, plan_file: Callable[..., Path]) -> None:
    changes, fields = PLANS[name]
    before = runner(plan_file())
    assert changed((before, CELL), (runner(plan_file(**changes)), CELL)) == fields


def test_the_samples(plan_file: Callable[..., Path]) -> None:
    fixed = {
        "selection": {"by": "same_items"},
        "generation": {"do_sample": True},
        "perturbations": [],
        "forced_steps": False,
    }
    cell = replace(CELL, task="rvec_chain")
    two, three = (
        runner(plan_file(**fixed, tasks=[{"task": "rvec_chain", "samples": k}])) for k in (2, 3)
    )
    assert changed((two, cell), (three, cell)) == {"samples"}


def test_the_cells_own(plan_file: Callable[..., Path]) -> None:
    planned = runner(plan_file())
    for name, (cell, fields) in CELLS.items():
        assert changed((planned, CELL), (planned, cell)) == fields, name
    random = replace(CELL, state=State("random", 0.5))
    drawn = CELLS["control's seed"][0]
    assert changed((planned, random), (planned, drawn)) == {"weights"}


def test_the_items_the_backend_and_the_versions(
    plan_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runner(plan_file())
    other = runner(plan_file())
    next(iter(other.book.tasks("rvec_tiny").values())).config.description = "Another."
    assert changed((before, CELL), (other, CELL)) == {"task"}
    assert changed((before, CELL), (runner(plan_file(), "cuda:1"), CELL)) == {"backend"}
    first = before.depends(CELL)
    for name in first["versions"]:
        monkeypatch.setattr(
            "rvec_merge.experiment.runner.version", lambda asked, name=name: f"{asked == name}"
        )
        assert before.depends(CELL)["versions"][name] == "True"
        assert before.depends(CELL) != first


def test_whose_prompts_a_donor_has(plan_file: Callable[..., Path]) -> None:
    """And those of nothing else."""
    targets, own = runner(plan_file(donors=True)), runner(plan_file(donors="own_prompts"))
    assert changed((targets, DONOR), (own, DONOR)) == {"own_prompts"}
    assert changed((targets, CELL), (own, CELL)) == set()
    # True is what plans said before there was a choice.
    named = runner(plan_file(donors="target_prompts"))
    assert changed((targets, DONOR), (named, DONOR)) == set()


def with_recipe(recipe: dict[str, Any], plan_file: Callable[..., Path], tmp: Path) -> CellRunner:
    from rvec_merge.experiment.fingerprint import checkpoint_fingerprint

    checkpoint_fingerprint.cache_clear()
    (tmp / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return runner(plan_file(recipe=str(tmp / "recipe.yaml"), donors="own_prompts"))


@pytest.mark.parametrize(
    "file", ["model.safetensors", "tokenizer_config.json", "generation_config.json"]
)
def test_what_the_folders_hold(
    file: str, own_family: dict[str, Any], plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Of the models that the state has to do with."""
    before = with_recipe(own_family, plan_file, tmp_path)
    cells = [CELL, DONOR, replace(CELL, state=State("target"))]
    keys = [before.key(cell) for cell in cells]
    path = tmp_path / "family/sft" / file
    if file == "model.safetensors":
        tensors = load_file(path)
        tensors["model.norm.weight"][0] += 1
        save_file(tensors, path, {"format": "pt"})
    else:
        path.write_text(json.dumps({"changed": True}))
    after = with_recipe(own_family, plan_file, tmp_path)
    same = [key == after.key(cell) for key, cell in zip(keys, cells, strict=True)]
    assert same == [False, False, True]


def test_an_adapter_that_was_trained_on(
    own_family: dict[str, Any], plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    """What a reference adds to its base counts as the base does."""
    target = own_family["base_model"]
    own_family["models"] = []
    for role in ("grpo", "sft"):
        folder = write_adapter(tmp_path / role, target)
        own_family["models"].append({"model": f"{target}+{folder}", "parameters": {"role": role}})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(own_family))

    def key() -> tuple[str, str]:
        from rvec_merge.experiment.fingerprint import checkpoint_fingerprint, model_inputs

        checkpoint_fingerprint.cache_clear()
        planned = runner(plan_file(recipe=str(tmp_path / "recipe.yaml"), donors=False))
        inputs = {i.reference: i.sha256 for i in model_inputs(planned.recipe)}
        return planned.key(CELL), inputs[f"{target}+{tmp_path / 'grpo'}"]

    before = key()
    path = tmp_path / "grpo" / "adapter_model.safetensors"
    tensors = load_file(path)
    next(iter(tensors.values()))[0] += 1
    save_file(tensors, path, {"format": "pt"})
    after = key()
    assert before[0] != after[0]
    assert before[1] != after[1]


def write_adapter(folder: Path, base: str) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (0.5, 1.0, True),  # the state's own takes the place of one number
        ([0.5, 1.0], [0.5, 0.75], False),
        ([{"filter": "mlp", "value": 0.5}], [{"filter": "mlp", "value": 1.0}], False),
    ],
)
def test_what_the_recipe_says_of_the_scale(
    first: Any,
    second: Any,
    same: bool,
    own_family: dict[str, Any],
    plan_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    keys = []
    for scale in (first, second):
        recipe = {**own_family, "parameters": {"scale": scale}}
        keys.append(with_recipe(recipe, plan_file, tmp_path).key(CELL))
    assert (keys[0] == keys[1]) == same


def test_a_recipes_scale_counts_where_a_slice_has_its_own(
    own_family: dict[str, Any], plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    models = [{"model": own_family["base_model"]}, *own_family.pop("models")]
    keys = []
    for scale in (0.5, 1.0):
        pieces = [
            {
                "sources": [{**model, "layer_range": [layer, layer + 1]} for model in models],
                "parameters": {"scale": 0.25} if layer else {},
            }
            for layer in range(4)
        ]
        recipe = {**own_family, "slices": pieces, "parameters": {"scale": scale}}
        keys.append(with_recipe(recipe, plan_file, tmp_path).key(CELL))
    assert keys[0] != keys[1]
