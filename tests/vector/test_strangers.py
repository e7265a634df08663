"""Tools that do not know the compact format stop, and stock mergekit says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.vector.conftest import SHARD_SIZE
from tests.vector.test_dense import VECTOR_RECIPE


@pytest.fixture(scope="module")
def vector(triple, tmp_path_factory):
    out = tmp_path_factory.mktemp("strangers") / "vector"
    extract_compact(open_donors(triple["grpo"], triple["sft"]), out, shard_size=SHARD_SIZE)
    return out


def test_stock_mergekit_says_what_to_do(vector, triple, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    settings = {"target": triple["target"], "scale": 1.0, "out_dtype": "bfloat16"}
    recipe.write_text(VECTOR_RECIPE.format(vector=vector, **settings))
    stock = Path(sys.executable).with_name("mergekit-yaml")
    done = subprocess.run([stock, recipe, tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Stock mergekit cannot read a compact vector file." in done.stderr
    assert "rvec extract --format dense" in done.stderr


def test_transformers_does_not_take_it_for_a_model(vector):
    from transformers import AutoModelForCausalLM

    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModelForCausalLM.from_pretrained(vector)
