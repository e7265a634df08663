"""A stock run is seen from inside its call to the method, and checked unless it is our own."""

import pytest
from mergekit.merge import run_merge
from mergekit.options import MergeOptions

from rvec_merge.mergekit_plugin import stock_run
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import RECIPE


@pytest.fixture
def calls(monkeypatch):
    """What the checks were given."""
    made = []
    monkeypatch.setattr(stock_run, "CHECKS", [lambda ids, target, run: made.append((target, run))])
    return made


def test_the_recipe_of_a_run_is_seen_while_it_plans(triple, tmp_path, calls):
    text = RECIPE.format(scale=1.0, out_dtype="bfloat16", **triple)
    config = parse_recipe(text).mergekit
    run_merge(config, str(tmp_path / "out"), MergeOptions(quiet=True), config_source=text)
    target, run = calls[0]
    assert str(target) == str(triple["target"])
    assert (run.text, run.out_path) == (text, str(tmp_path / "out"))
    assert run.config.merge_method == config.merge_method


def test_outside_a_run_none_is_seen_and_our_own_plan_is_not_checked(calls):
    with stock_run.own_plan():
        stock_run.check_inputs(["a"], "a")
    assert calls == []
    stock_run.check_inputs(["a"], "a")
    assert calls == [("a", None)]
