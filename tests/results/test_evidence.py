"""A card must not carry another model's numbers."""

import shutil
from pathlib import Path

import pytest

from rvec_merge.errors import CheckpointError, ResultsError
from rvec_merge.report.card import write_card
from rvec_merge.results.read import Results
from tests.report.conftest import family


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("scale: 0.5", "scale: 1.0", "scale: 1 in the model, 0.5 in the results"),
        ("demo/family/grpo", "demo/family/other-init/grpo", "models:"),
        ("demo/family/target", "demo/family/sft-base", "base_model:"),
    ],
)
def test_numbers_of_another_merge_are_refused(
    results: Results, model: Path, old: str, new: str, fact: str
) -> None:
    config = model / "mergekit_config.yml"
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(ResultsError, match="another merge") as raised:
        write_card(results, model)
    assert any(line.startswith(fact) for line in raised.value.facts)
    assert [p.name for p in model.iterdir()] == ["mergekit_config.yml"]


def test_numbers_of_other_weights_at_the_same_place_are_refused(
    results: Results, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A donor that was trained on, in the folder of the one that was evaluated."""
    family(tmp_path)
    monkeypatch.chdir(tmp_path)
    shutil.copy("demo/family/sft/model.safetensors", "demo/family/grpo/model.safetensors")
    with pytest.raises(ResultsError, match="no longer the one") as raised:
        write_card(results, model)
    assert raised.value.facts == ("demo/family/grpo",)
    assert [p.name for p in model.iterdir()] == ["mergekit_config.yml"]


def test_a_folder_that_is_no_merge_is_refused(results: Results, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="merged from"):
        write_card(results, tmp_path)
