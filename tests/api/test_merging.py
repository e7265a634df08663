"""Checking, merging and verifying as Python functions; a recipe may be a mapping."""

from pathlib import Path

import pytest
import yaml

import rvec_merge as rv
from rvec_merge.recipe.catalog import find


def test_a_mapping_is_checked_merged_and_verified(tmp_path: Path) -> None:
    recipe = yaml.safe_load(find("tiny").text)
    found = rv.check(recipe, tmp_path / "out")
    assert found.ok
    assert found.report is not None
    outcome = rv.merge(recipe, tmp_path / "out", num_threads=1)
    assert outcome.out == tmp_path / "out"
    assert rv.verify(tmp_path / "out", sample=2).holds
    again = rv.check(recipe, tmp_path / "out")
    assert [error.headline for error in again.errors] == ["The output exists."]


def test_settings_and_their_fields_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not both"):
        rv.merge("tiny", tmp_path / "out", rv.Settings(), num_threads=1)
    with pytest.raises(TypeError, match="did you mean 'num_threads'"):
        rv.merge("tiny", tmp_path / "out", thread=1)


def test_what_is_no_recipe_is_an_error_that_check_returns() -> None:
    found = rv.check("no-such")
    assert not found.ok
    assert found.report is None
