"""Where mergekit plans: what it cannot, and what transformers could not load."""

from pathlib import Path

import pytest

from rvec_merge.errors import RecipeError
from rvec_merge.plan import by_mergekit
from tests.merge.conftest import run
from tests.merge.test_whole import checked


def test_layers_that_the_config_cannot_list_are_refused_before_mergekit_runs(
    tmp_path: Path, triple: dict[str, Path]
) -> None:
    pieces = "".join(
        f"  - sources: [{{model: {triple['target']}, layer_range: [{low}, 2]}}]\n" for low in (0, 1)
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"merge_method: passthrough\nslices:\n{pieces}dtype: bfloat16\n")
    status, said = checked(str(recipe))
    assert status == 1
    assert "The output's configuration is not valid." in said
    assert "`num_hidden_layers` (3)" in said  # the last line of what transformers says


def test_mergekits_own_error_is_told_to_its_last_line(
    tmp_path: Path, triple: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("".join(f"line {number}\n" for number in range(40)))

    monkeypatch.setattr(by_mergekit, "_planned", fail)
    models = f"[{{model: {triple['target']}}}, {{model: {triple['sft']}}}]"
    text = f"merge_method: linear\nmodels: {models}\nparameters: {{weight: 0.5}}\n"
    with pytest.raises(RecipeError, match="mergekit cannot plan this recipe") as caught:
        run(text, tmp_path / "out")
    assert "line 39" in caught.value.facts
    assert len(caught.value.facts) < 30
