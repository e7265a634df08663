"""Another donor pair's vector as a control: on the same target, at the same norm per tensor."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import PlanError
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.others import other_recipes
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.weights import StateWeights, fresh
from rvec_merge.recipe.read import read_recipe
from rvec_merge.results.read import read_results
from tests.conftest import load_tensors

FAMILY = Path("demo/family")
OTHER = "recipes/controls/other-init.yaml"


def plan_of(*vectors: str) -> Plan:
    return Plan.model_validate(
        {
            "recipe": "recipes/tiny.yaml",
            "tasks": ["rvec_tiny"],
            "scales": [0.5],
            "selection": {"by": "same_items"},
            "controls": {"vectors": list(vectors)},
        }
    )


def added(vectors: str, scale: float) -> dict[str, torch.Tensor]:
    recipe = read_recipe("recipes/tiny.yaml")
    weights = StateWeights(recipe, others=other_recipes(plan_of(vectors), recipe))
    (name,) = plan_of(vectors).controls.named
    there = dict(weights.tensors(State("other", scale, 0, name), fresh(torch.float64)))
    before = load_tensors(FAMILY / "target")
    return {key: value - before[key].double() for key, value in there.items()}


@pytest.mark.parametrize("scale", [0.5, -1.0])
def test_each_tensor_has_the_vectors_norm_and_the_others_direction(scale: float) -> None:
    names = ("grpo", "sft", "other-init/grpo", "other-init/sft")
    grpo, sft, plus, minus = (load_tensors(FAMILY / name) for name in names)
    for name, found in added(OTHER, scale).items():
        own = scale * (grpo[name].double() - sft[name].double())
        other = plus[name].double() - minus[name].double()
        wanted = other * (own.norm() / other.norm()) * (1 if scale > 0 else -1)
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-6), name
        assert float(found.norm()) == pytest.approx(float(own.norm()), rel=1e-4)


def test_a_compact_vector_is_the_same_control(tmp_path: Path) -> None:
    extracted = tmp_path / "other-init"
    done = CliRunner().invoke(rvec, ["extract", OTHER, str(extracted), "-q"])
    assert done.exit_code == 0, done.output
    by_recipe, by_vector = added(OTHER, 0.5), added(str(extracted), 0.5)
    assert all(torch.equal(by_recipe[name], by_vector[name]) for name in by_recipe)


def test_it_stands_in_the_verdict_by_name(
    plan_file: Callable[..., Path], tmp_path: Path, local: Callable[[Path, Path], Any]
) -> None:
    changes = {
        "controls": {"random": 3, "permuted": 0, "vectors": [OTHER]},
        "scales": [0.5],
        "perturbations": [],
        "forced_steps": False,
        "subtract": True,
        "limit": 40,
    }
    local(plan_file(**changes), tmp_path / "out")
    (verdict,) = read_results(tmp_path / "out").summary.verdicts
    (other,) = verdict.others
    assert other.name == "other-init"
    assert other.effect.difference < 0.1 < other.margin.difference
    named = {row.cell.condition for row in read_results(tmp_path / "out").summary.rows}
    assert {"target + 0.5 other-init", "target − 0.5 other-init"} <= named
    head = json.loads((tmp_path / "out" / "experiment.json").read_text())
    assert head["plan"]["controls"]["vectors"] == [OTHER]


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ("recipes/none.yaml", "neither a recipe nor a compact vector"),
        ("demo/family/grpo", "neither a recipe nor a compact vector"),
    ],
)
def test_what_is_no_vector_is_refused(
    vector: str, says: str, plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    plan = plan_file(controls={"random": 0, "permuted": 0, "vectors": [vector]})
    done = CliRunner().invoke(rvec, ["experiment", str(plan), "-o", str(tmp_path / "out")])
    assert isinstance(done.exception, PlanError)
    assert says in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_method_without_donors_is_refused(tmp_path: Path) -> None:
    text = yaml.safe_load(Path("recipes/tiny.yaml").read_text())
    linear = tmp_path / "linear.yaml"
    models = [{"model": "demo/family/grpo", "parameters": {"weight": 1.0}}]
    linear.write_text(
        yaml.safe_dump({**text, "merge_method": "linear", "models": models, "parameters": {}})
    )
    recipe = read_recipe("recipes/tiny.yaml")
    with pytest.raises(PlanError, match="no donors of its own"):
        other_recipes(plan_of(str(linear)), recipe)
