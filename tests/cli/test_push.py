"""``rvec push``, and other verbs on what was shared; the environment says where the Hub is."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec as group
from tests.hub.conftest import folder_files
from tests.hub.server import Handler
from tests.hub.state import Hub

pytestmark = pytest.mark.usefixtures("shared")


def run(*arguments: object):
    return CliRunner().invoke(group, [str(a) for a in arguments], env={"COLUMNS": "200"})


def test_share_a_recipe_in_three_commands(
    hub: Hub, rvec, recipe_file: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    pushed = rvec(
        "push", "recipe", recipe_file, "me/recipe", "--license", "mit", HF_TOKEN=hub.token
    )
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.splitlines()[-1].startswith(f"{hub.endpoint}/me/recipe/commit/")
    checked = run("check", "hf://me/recipe")
    assert checked.exit_code == 0, checked.output
    merged = rvec("merge", "hf://me/recipe", "out", "--quiet")
    assert merged.returncode == 0, merged.stderr
    assert "same bits" in run("verify", "out").output
    for said in (pushed, merged):
        assert hub.token not in said.stdout + said.stderr


def test_a_dry_run_prints_every_file_with_its_size_and_sends_nothing(
    hub: Hub, recipe_file: Path, tmp_path: Path
):
    said = run("push", "recipe", recipe_file, "me/recipe", "--license", "mit", "--dry-run")
    assert said.exit_code == 0, said.output
    assert "me/recipe" not in hub.repos
    assert not [r for r in hub.requests if r.method in ("POST", "PUT")]
    run("push", "recipe", recipe_file, "me/recipe", "--license", "mit")
    files = hub.files("me/recipe")
    del files[".gitattributes"]
    lines = [line.split() for line in said.stdout.splitlines()]
    assert {name: int(size.replace(",", "")) for size, name in lines[:-1]} == {
        name: len(data) for name, data in files.items()
    }
    assert lines[-1][0].replace(",", "") == str(sum(map(len, files.values())))


def test_extract_of_a_recipe_on_the_hub(hub: Hub, recipe_file: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("push", "recipe", recipe_file, "me/recipe", "--license", "mit")
    for out, options in (("plain", ()), ("streamed", ("--stream",))):
        made = run("extract", "hf://me/recipe", out, *options)
        assert made.exit_code == 0, made.exception
    plain, streamed = (folder_files(tmp_path / name) for name in ("plain", "streamed"))
    assert plain["vector.safetensors"] == streamed["vector.safetensors"]


def test_recipes_on_the_hub(hub: Hub, recipe_file: Path):
    assert json.loads(run("recipes", "--hub", "--json").stdout) == []
    run("push", "recipe", recipe_file, "me/recipe", "--license", "mit")
    run("push", "recipe", recipe_file, "me/hidden", "--license", "mit", "--private")
    (found,) = json.loads(run("recipes", "--hub", "--json").stdout)
    assert found["name"] == "hf://me/recipe"
    assert "hf://me/recipe" in run("recipes", "--hub").stdout


def test_a_server_that_filters_and_sorts_nothing(hub: Hub):
    def all_of_them(handler: Handler) -> bool:
        recipe = ["reasoning-vector", "rvec-recipe", "base_model:adapter:org/t", "base_model:org/t"]
        listed = [
            {"id": "org/model", "tags": ["merge", "reasoning-vector"], "downloads": 10**6},
            {"id": "me/old", "tags": recipe, "lastModified": "2026-01-01T00:00:00.000Z"},
            {
                "id": "me/new",
                "tags": recipe,
                "lastModified": "2026-03-01T00:00:00.000Z",
                "likes": 2,
            },
            {"id": "me/undated"},
        ]
        handler.answer(listed)
        return True

    hub.fail("GET", "hub:/api/models", all_of_them, times=2)
    assert json.loads(run("recipes", "--hub", "--json").stdout) == [
        {"name": "hf://me/new", "target": "org/t", "likes": 2, "updated": "2026-03-01"},
        {"name": "hf://me/old", "target": "org/t", "likes": 0, "updated": "2026-01-01"},
    ]
    assert "downloads" not in run("recipes", "--hub").stdout


def test_offline_the_cache_is_enough_to_check(hub: Hub, rvec, recipe_file: Path, tmp_path: Path):
    run("push", "recipe", recipe_file, "me/recipe", "--license", "mit")
    assert run("merge", "hf://me/recipe", tmp_path / "out", "--quiet").exit_code == 0
    hub.requests.clear()
    checked = rvec("check", "hf://me/recipe", "--json", HF_HUB_OFFLINE="1")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)
    assert not hub.requests


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["push", "recipe", "x.yaml", "me/x", "--license"], 2, "requires an argument"),
        (["push", "model", "x", "me/x"], 2, "'model' is not one of"),
        (["push", "vector", "x", "me/x", "--results", "r"], 2, "--results belongs to a recipe"),
        (["push", "vector", "x", "me/x"], 1, "does not say where its content came from"),
        (["pull", "me/no-such"], 1, "The repo does not exist"),
        (["merge", "hf://me/no-such", "out"], 1, "The repo does not exist"),
        (["inspect", "hf://org/target"], 1, "holds nothing that rvec shares"),
        (["recipes", "tiny", "--hub"], 2, "--hub lists recipes"),
        (["extract", "o", "--vector", "v", "--stream"], 2, "--stream reads donors"),
        (["extract", "o", "--grpo", "./a", "--sft", "b/c", "--stream"], 1, "Only donors on the"),
    ],
)
def test_mistakes(hub: Hub, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    told = result.output if code == 2 else str(result.exception)
    assert said in told
    assert result.exit_code == code
    assert not list(tmp_path.glob("o*"))
