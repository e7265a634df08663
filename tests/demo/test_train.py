"""The training pipeline, shortened: every stage runs and ships, and a second run resumes."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("trl", reason="training needs the extra: pip install 'rvec-merge[train]'")

from demo.ship import MANIFEST, SHIPPED, file_hashes


def _train(root, out):
    return subprocess.run(
        [sys.executable, str(root / "demo" / "train.py"), "--short", "--out", str(out)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
    ).stdout


@pytest.mark.slow
def test_the_shortened_pipeline_ships_a_family_and_resumes(root, tmp_path):
    first = _train(root, tmp_path)
    assert "first/target" in first
    assert "already there" not in first
    family = tmp_path / "family"
    manifest = json.loads((family / MANIFEST).read_text())
    assert manifest["files"] == file_hashes(family)
    assert {name for name in SHIPPED if (family / name / "model.safetensors").exists()} == set(
        SHIPPED
    )
    assert _train(root, tmp_path).count("already there") == 7
    assert json.loads((family / MANIFEST).read_text()) == manifest
