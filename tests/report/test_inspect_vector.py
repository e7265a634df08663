"""The vector's heat map, where its donors lie here as they were evaluated."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rvec_merge.experiment.fingerprint import checkpoint_fingerprint
from rvec_merge.report.inspect_vector import vector_map
from rvec_merge.results.read import Results
from rvec_merge.vector.heat_map import HeatMap
from tests.report.conftest import family


def test_the_heat_map_is_that_of_rvec_inspect(results: Results) -> None:
    found = vector_map(results)
    assert isinstance(found, HeatMap)
    norm, small_norm, density, small_density = found.panels
    assert (norm.title, small_norm.title) == (
        "relative norm, matrices",
        "relative norm, biases and norms",
    )
    assert norm.log
    assert not density.log
    assert len(norm.kinds) == len(norm.values) == 7
    assert len(small_density.kinds) == 5
    assert all(v is not None and 0 < v <= 1 for row in density.values for v in row)
    assert found.outside[0].startswith("embed_tokens: relative norm 0.007")


def test_a_vector_of_changed_donors_is_not_shown(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert isinstance(vector_map(results), HeatMap)
    shutil.copy("demo/family/target/model.safetensors", "demo/family/sft/model.safetensors")
    checkpoint_fingerprint.cache_clear()
    assert vector_map(results) == "Not shown: demo/family/sft is no longer what was evaluated."


def test_a_vector_that_is_not_here_is_told_not_fetched(results: Results) -> None:
    elsewhere = replace(results, recipe=results.recipe.replace("demo/family/grpo", "org/away"))
    assert vector_map(elsewhere) == "Not shown: org/away is not a folder on this machine."
