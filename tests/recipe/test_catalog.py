"""A recipe by whatever names it here."""

from pathlib import Path

import pytest
import yaml

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.catalog import find, names_recipe, read_source


def test_name_file_text_and_mapping_are_one_recipe(tmp_path: Path) -> None:
    named = read_source("tiny")
    (tmp_path / "tiny").write_text(named.text)
    for source in (named, tmp_path / "tiny", named.text, yaml.safe_load(named.text)):
        assert read_source(source).config == named.config
    assert read_source(find("tiny.yaml").path).source.endswith("tiny.yaml")


def test_a_file_goes_before_a_bundled_name_and_a_folder_is_no_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert names_recipe("subtract")
    Path("subtract").mkdir()
    assert not names_recipe("subtract")
    Path("tiny").write_text("- no recipe\n")
    with pytest.raises(RecipeError, match="not a mapping"):
        read_source("tiny")


def test_a_name_that_is_none_is_told_with_its_neighbour() -> None:
    with pytest.raises(RecipeError, match="did you mean the bundled recipe 'subtract'"):
        read_source("substract")
