"""A stock mergekit run is checked while it plans, and before it writes."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub.errors import OfflineModeIsEnabled

from rvec_merge.errors import RvecError
from tests.preflight.conftest import Trio


def test_the_stock_command_stops_before_it_writes(trio: Trio) -> None:
    path = trio.root / "recipe.yaml"
    trio.edit_tensors("sft", lambda t: t.pop("model.norm.weight"))
    path.write_text(trio.text())
    program = Path(sys.executable).with_name("mergekit-yaml")
    run = subprocess.run(
        [str(program), str(path), str(trio.out)], capture_output=True, text=True, timeout=300
    )
    assert run.returncode != 0
    assert "model.norm.weight  missing in sft" in run.stderr
    assert not trio.out.exists()
    rvec = Path(sys.executable).with_name("rvec")
    checked = subprocess.run([str(rvec), "check", str(path)], capture_output=True, text=True)
    assert checked.returncode == 1
    assert "model.norm.weight  missing in sft" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_a_run_without_the_recipes_text_is_checked_alike(trio: Trio) -> None:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    trio.edit_config("sft", rms_norm_eps=1e-5)
    config = MergeConfiguration.model_validate(yaml.safe_load(trio.text()))
    with pytest.raises(RvecError, match="rms_norm_eps: target 1e-06, sft 1e-05"):
        run_merge(config, str(trio.out), MergeOptions(quiet=True))


def test_stock_mergekit_warns_of_weights_in_its_output_folder(
    trio: Trio, caplog: pytest.LogCaptureFixture
) -> None:
    trio.merge_stock()
    with caplog.at_level(logging.WARNING, logger="rvec_merge"):
        trio.merge_stock()
    assert "The output folder holds weights already." in caplog.text


def test_stock_mergekit_warns_of_folders_that_it_takes_for_hub_ids(
    trio: Trio, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trio.folder("target").parent.parent)
    trio.recipe["base_model"] = "models/target"
    trio.recipe["models"][0]["model"] = "./models/grpo"
    with caplog.at_level(logging.WARNING, logger="rvec_merge"), pytest.raises(OfflineModeIsEnabled):
        trio.merge_stock()
    (said,) = (r.getMessage() for r in caplog.records if r.name.startswith("rvec_merge"))
    assert "write ./models/target" in said
    assert "grpo" not in said
