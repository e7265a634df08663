"""A folder without a model's weights: what it holds instead is told, and the way from there."""

from pathlib import Path

import pytest

from rvec_merge.checkpoint.no_weights import no_weights

# What is told; `rvec check` and `rvec merge` are held to it in tests/preflight/test_models.py.
FOLDERS = {
    "checkpoint-9/model.safetensors": ("but folders that do", "checkpoint-9"),
    "global_step9/actor/model_world_size_2_rank_0.pt": ("written by verl", "global_step9/actor"),
    "consolidated.safetensors": ("would not load", "consolidated.safetensors"),
    "optimizer.pt": ("no weights transformers would load", "rng_state.pth"),
    "adapter_config.json": ("an adapter, not a model", "BASE+"),
    "README.md": ("There is no checkpoint.", "neither model.safetensors nor"),
}


@pytest.mark.parametrize("file", FOLDERS)
def test_what_is_there_is_told(file: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("{}")
    told = str(no_weights(tmp_path))
    assert all(part in told for part in FOLDERS[file]), told


def test_an_adapter_counts_before_what_its_trainer_left(tmp_path: Path) -> None:
    for name in ("optimizer.pt", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes(b"")
    config = '{"base_model_name_or_path": "org/base"}'
    (tmp_path / "adapter_config.json").write_text(config)
    assert no_weights(tmp_path, "./mine").fix.endswith("together: org/base+./mine.")
