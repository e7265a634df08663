import json

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import RecipeError
from rvec_merge.recipe.catalog import bundled
from rvec_merge.recipe.resources import folder


def run(*arguments):
    return CliRunner().invoke(rvec, ["recipes", *arguments], env={"COLUMNS": "200"})


def test_lists_every_recipe_with_its_summary_target_and_scale():
    result = run()
    assert result.exit_code == 0
    for recipe in bundled():
        line = next(x for x in result.output.splitlines() if x.split()[:1] == [recipe.name])
        assert recipe.target in line
    assert "self_attn: 0.5" in result.output
    assert " else: 0" in result.output
    assert "0 → 0 → 0.5 → 0.5" in result.output


@pytest.mark.parametrize("width", [40, 80])
def test_names_and_what_they_do_are_whole_on_a_narrow_terminal(width):
    listed = CliRunner().invoke(rvec, ["recipes"], env={"COLUMNS": str(width)}).output
    assert max(map(len, listed.splitlines())) <= width
    assert "…" not in listed
    assert {recipe.name for recipe in bundled()} <= set(listed.split())


@pytest.mark.parametrize("name", ["controls/random", "controls/random.yaml"])
def test_prints_one_recipe_as_it_is(name):
    path = folder("recipes") / "controls" / "random.yaml"
    assert run(name).output == path.read_text("utf-8")
    assert run(name, "--path").output == f"{path}\n"


def test_prints_the_folder():
    assert run("--path").output == f"{folder('recipes')}\n"


def test_json():
    listed = json.loads(run("--json").output)
    assert [entry["name"] for entry in listed] == [recipe.name for recipe in bundled()]
    assert json.loads(run("tiny", "--json").output) in listed
    assert json.loads(run("tiny", "--json").output)["scale"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["no-such"], 1, "No bundled recipe is called 'no-such'"),
        (["--path", "--json"], 2, "--path and --json exclude each other"),
        (["tiny", "subtract"], 2, "unexpected extra argument"),
        (["--yaml"], 2, "No such option"),
    ],
)
def test_mistakes(arguments, exit_code, said):
    result = run(*arguments)
    assert result.exit_code == exit_code
    if exit_code == 1:
        assert isinstance(result.exception, RecipeError)
        assert "attention-only, " in str(result.exception)
    assert said in (str(result.exception) if exit_code == 1 else result.output)
