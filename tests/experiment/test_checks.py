"""What is refused of a plan before anything runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rvec_merge.errors import PlanError
from rvec_merge.experiment.run import prepare


def test_slices_that_make_another_model_are_refused_and_others_are_not(
    own_family: dict[str, Any], plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    models = [{"model": own_family["base_model"]}, *own_family.pop("models")]
    layers = json.loads((Path(own_family["base_model"]) / "config.json").read_text())
    count = layers["num_hidden_layers"]

    def sliced(kept: int) -> Path:
        pieces = [{"sources": [{**model, "layer_range": [0, kept]} for model in models]}]
        recipe = tmp_path / f"{kept}.yaml"
        recipe.write_text(yaml.safe_dump({**own_family, "slices": pieces}))
        return plan_file(recipe=str(recipe))

    prepare(sliced(count))
    with pytest.raises(PlanError, match="cannot be evaluated in memory") as caught:
        prepare(sliced(count - 1))
    assert any(f"layers.{count - 1}." in fact for fact in caught.value.facts)
