"""``rvec inspect`` as it is typed."""

import json

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from tests.conftest import RECIPE


def run(*arguments):
    return CliRunner().invoke(rvec, [str(a) for a in arguments], env={"COLUMNS": "100"})


@pytest.fixture(scope="module")
def recipe(triple, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE.format(**triple, scale=0.5, out_dtype="float32"))
    return path


@pytest.fixture(scope="module")
def vector(recipe):
    out = recipe.parent / "vector"
    result = run("extract", recipe, out)
    assert result.exit_code == 0
    return out


def test_inspect_prints_modules_and_layers(vector):
    result = run("inspect", vector)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert any(line.split()[:1] == ["mlp.up_proj"] for line in lines)
    assert any(line.split()[:1] == ["all"] for line in lines)
    assert any(line.split()[:2] == ["outside", "layers"] for line in lines)
    assert "±1 ulp" in result.output


def test_inspect_a_recipe_relates_to_its_target(recipe, vector, triple):
    found = json.loads(run("inspect", recipe, "--base", triple["sft"], "--json").output)
    assert found["relative_to"] == "target"
    assert found["vectors"][-1] == "target − base"
    plain = json.loads(run("inspect", vector, "--json").output)
    assert plain["relative_to"] == "sft"
    assert found["total"]["norm"] == pytest.approx(plain["total"]["norm"], rel=1e-9)


def test_inspect_compares_vectors_and_draws(vector, recipe, tmp_path):
    result = run("inspect", vector, recipe, "--plot", tmp_path / "f.png")
    assert result.exit_code == 0
    assert (tmp_path / "f.png").stat().st_size > 1000
    matrix = [line for line in result.output.splitlines() if line.lstrip().startswith("B  ")]
    assert "1.000" in matrix[-1]


def test_inspect_base_needs_a_target(vector, triple):
    result = run("inspect", vector, "--base", triple["sft"])
    assert result.exit_code == 2
    assert "--base needs --target" in result.output
