"""Each bundled recipe reads strictly, and its header says what a user has to know first."""

import pytest

from rvec_merge.recipe.catalog import bundled
from rvec_merge.recipe.read import read_recipe

RECIPES = {recipe.name: recipe for recipe in bundled()}
FIELDS = ("Triple", "Run", "Download", "Licence", "Published", "Run by us", "Precision")


@pytest.fixture(params=RECIPES)
def recipe(request):
    return RECIPES[request.param]


def test_the_published_set_is_complete():
    assert set(RECIPES) == {
        "tiny",
        "qwen1.5b",
        "qwen7b",
        "qwen-math-7b",
        "olmo2-7b",
        "r1-distill-1.5b",
        "r1-distill-14b",
        "subtract",
        "attention-only",
        "late-layers",
        "two-pairs",
        "from-vector",
        "controls/random",
        "controls/permuted",
        "controls/other-init",
    }


def test_strict_reading_accepts_it(recipe):
    assert read_recipe(recipe.path).is_reasoning_vector


def test_header_is_complete(recipe, header_fields):
    fields = header_fields(recipe)
    assert recipe.what.endswith((".", "?"))
    assert [name for name in FIELDS if not fields.get(name)] == []


def test_run_command_is_for_this_very_file(recipe, header_fields):
    output = recipe.name.rpartition("/")[2]
    command = f"mergekit-yaml recipes/{recipe.name}.yaml out/{output}"
    assert header_fields(recipe)["Run"] == command


def test_bfloat16_only_where_the_scale_survives_it(recipe):
    config = read_recipe(recipe.path).config
    assert config.out_dtype == ("bfloat16" if recipe.scale in (1, -1) else "float32")
    assert config.dtype is None  # it would round the donors when they are loaded
