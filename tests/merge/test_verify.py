"""``rvec verify``: a merge recomputed from what it says of itself."""

import json
import shutil

import pytest
import torch

from rvec_merge.errors import CheckpointError, RecipeError
from rvec_merge.merge.verify import verify
from rvec_merge.recipe.read import parse_recipe
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.conftest import RECIPE, make_triple
from tests.merge.conftest import assert_same_tensors, rewrite, run
from tests.vector.conftest import SHARD_SIZE, as_version_1
from tests.vector.test_dense import VECTOR_RECIPE


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_triple(tmp_path_factory.mktemp("models"))


def text(folders, scale=0.7):
    return RECIPE.format(**folders, scale=scale, out_dtype="bfloat16")


@pytest.fixture
def merged(tmp_path, models):
    run(text(models), tmp_path / "out")
    return tmp_path / "out"


def test_a_merge_verifies(merged):
    seen = []
    found = verify(merged, progress=lambda done, total: seen.append((done, total)))
    assert found.holds
    assert found.checked == found.total == len(seen)
    assert seen[-1][0] == seen[-1][1]
    assert found.changed == ()
    assert not found.recipe_differs


@pytest.mark.parametrize("version", [1, 2])
def test_a_merge_of_a_compact_vector_of_either_version_verifies(tmp_path, models, merged, version):
    from mergekit.io.tasks import LoaderCache

    pair = open_donors(models["grpo"], models["sft"])
    extract_compact(pair, tmp_path / "2", shard_size=SHARD_SIZE)
    as_version_1(tmp_path / "2", tmp_path / "1")
    recipe = VECTOR_RECIPE.format(
        target=models["target"], vector=tmp_path / f"{version}", scale=0.7, out_dtype="bfloat16"
    )
    run(recipe, tmp_path / "of-vector")
    LoaderCache().loaders.clear()  # what mergekit remembers of a merge in the same process
    assert verify(tmp_path / "of-vector").holds
    assert_same_tensors(tmp_path / "of-vector", merged)


def test_one_flipped_bit_is_found(merged):
    data = bytearray((merged / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (merged / "model.safetensors").write_bytes(data)
    found = verify(merged)
    assert not found.holds
    assert list(found.differing.values()) == [1]


def test_minus_zero_is_not_zero(tmp_path, models):
    folders = dict(models)
    folders["target"] = shutil.copytree(models["target"], tmp_path / "target")
    rewrite(folders["target"], lambda _, t: t * 0)
    run(text(folders, 0.0), tmp_path / "out")
    assert verify(tmp_path / "out").holds
    rewrite(tmp_path / "out", lambda _, t: -t)
    assert not verify(tmp_path / "out").holds


def test_tensors_missing_extra_or_of_another_dtype(merged):
    rewrite(merged, lambda name, t: t.float() if name == "model.norm.weight" else t)
    assert list(verify(merged).differing) == ["model.norm.weight"]
    from safetensors.torch import load_file, save_file

    tensors = load_file(merged / "model.safetensors")
    del tensors["model.norm.weight"]
    tensors["model.more.weight"] = torch.ones(3)
    save_file(tensors, merged / "model.safetensors")
    found = verify(merged)
    assert (found.missing, found.extra) == (("model.norm.weight",), ("model.more.weight",))
    assert not found.holds


def test_a_sample_recomputes_so_many(merged):
    first, again = (verify(merged, sample=3, seed=1) for _ in range(2))
    assert first.checked == again.checked == 3
    assert first.total > 3


def test_another_recipe(merged, models):
    other = parse_recipe(text(models, -0.7))
    found = verify(merged, recipe=other)
    assert found.recipe_differs
    assert not found.holds
    assert verify(merged, recipe=parse_recipe(text(models) + "# a comment\n")).holds


def test_inputs_that_have_changed_are_named(tmp_path, models):
    folders = {n: shutil.copytree(f, tmp_path / n) for n, f in models.items()}
    run(text(folders), tmp_path / "out", hash_files=True)
    rewrite(folders["grpo"], lambda _, t: t * 1.5)
    found = verify(tmp_path / "out")
    assert not found.holds
    assert found.changed == (f"{folders['grpo']}: model.safetensors has another sha256",)
    rewrite(folders["grpo"], lambda _, t: t.float())
    assert "another size" in verify(tmp_path / "out").changed[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": "merge_method: linear"}, "recorded recipe was changed"),
        ({"version": 2}, "of another version"),
        ({"unknown": 1}, "malformed"),
        ({"effect": {"scale": "x"}}, "malformed"),
        (None, "does not say how"),
    ],
)
def test_records_that_cannot_be_trusted(merged, change, said):
    path = merged / "rvec_merge.json"
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises((CheckpointError, RecipeError), match=said):
        verify(merged)


def test_only_streamed_merges_are_recomputed(tmp_path, models):
    recipe = f"""\
merge_method: linear
models:
  - {{model: {models["target"]}, parameters: {{weight: 1}}}}
  - {{model: {models["sft"]}, parameters: {{weight: 1}}}}
dtype: bfloat16
"""
    run(recipe, tmp_path / "out")
    with pytest.raises(RecipeError, match="Only a streamed merge"):
        verify(tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "pytorch_model.bin",
        "adapter_config.json",
    ],
)
def test_a_second_set_of_weights_is_refused(merged, name):
    """Loaders would take it, or could: what was verified would not be what is loaded."""
    (merged / "training_args.bin").write_text("no weights")
    assert verify(merged).holds
    shutil.copy(merged / "model.safetensors", merged / name)
    with pytest.raises(CheckpointError, match="second set of weights") as caught:
        verify(merged)
    assert f"beside them: {name}" in caught.value.facts


def test_a_poisoned_file_that_config_json_names_is_found(merged):
    shutil.copy(merged / "model.safetensors", merged / "other.safetensors")
    config = json.loads((merged / "config.json").read_text())
    config["transformers_weights"] = "other.safetensors"
    (merged / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="second set of weights"):
        verify(merged)
    (merged / "model.safetensors").unlink()
    assert verify(merged).holds
