"""Tools that do not know the compact format stop, and stock mergekit says what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rvec_merge.checkpoint.layout import write_index
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from rvec_merge.vector.read import CompactVector
from tests.vector.conftest import SHARD_SIZE
from tests.vector.test_dense import VECTOR_RECIPE


@pytest.fixture(scope="module")
def vector(triple, tmp_path_factory):
    out = tmp_path_factory.mktemp("strangers") / "vector"
    extract_compact(open_donors(triple["grpo"], triple["sft"]), out, shard_size=SHARD_SIZE)
    return out


@pytest.mark.parametrize("indexed", [False, True])
def test_stock_mergekit_takes_it_for_no_model(vector, triple, tmp_path, indexed):
    said = "Unable to find model files at"
    if indexed:  # as version 1 was: mergekit went on to the method's own check
        vector = shutil.copytree(vector, tmp_path / "indexed")
        write_index(
            vector, dict.fromkeys(CompactVector.open(vector).names, "vector.safetensors"), 0
        )
        said = "Stock mergekit cannot read a compact vector file."
    recipe = tmp_path / "recipe.yaml"
    settings = {"target": triple["target"], "scale": 1.0, "out_dtype": "bfloat16"}
    recipe.write_text(VECTOR_RECIPE.format(vector=vector, **settings))
    stock = Path(sys.executable).with_name("mergekit-yaml")
    done = subprocess.run([stock, recipe, tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode != 0
    assert said in done.stderr
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_transformers_takes_it_for_no_model(vector):
    from transformers import AutoModelForCausalLM

    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        AutoModelForCausalLM.from_pretrained(vector, ignore_mismatched_sizes=True)
