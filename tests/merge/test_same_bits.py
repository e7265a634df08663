"""The engine against stock mergekit: the same bits and the same files beside them."""

import shutil

import pytest
import torch

from rvec_merge.errors import RecipeError
from tests.conftest import make_triple
from tests.merge.conftest import (
    add_tokenizer,
    assert_same_folder,
    assert_same_tensors,
    rewrite,
    run,
    text,
)

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def triple(path, kind="Qwen2", **config):
    folders = make_triple(path / "models", kind, **config)
    add_tokenizer(folders)
    return folders


@pytest.mark.parametrize(
    ("kind", "tied"),
    [
        ("Qwen2", True),
        ("Qwen2", False),
        ("Qwen3", True),
        ("Qwen3", False),
        ("Llama", True),
        ("Llama", False),
        ("Gemma", True),
    ],
)
def test_architectures(tmp_path, stock, kind, tied):
    folders = triple(tmp_path, kind, tie_word_embeddings=tied)
    recipe = text(folders)
    run(recipe, tmp_path / "out")
    assert_same_folder(tmp_path / "out", stock(recipe))


@pytest.mark.parametrize(
    "dtypes",
    [
        ("bf16", "bf16", "bf16"),
        ("f16", "f16", "f16"),
        ("f32", "f32", "f32"),
        ("bf16", "f32", "f32"),
        ("f32", "f16", "bf16"),
    ],
    ids="-".join,
)
@pytest.mark.parametrize("out_dtype", ["bfloat16", "float16", "float32"])
def test_dtypes(tmp_path, stock, dtypes, out_dtype):
    folders = triple(tmp_path)
    for folder, dtype in zip(folders.values(), dtypes, strict=True):
        rewrite(folder, lambda _, t, dtype=dtype: t.to(DTYPES[dtype]) * 1.0009)
    recipe = text(folders, out_dtype=out_dtype)
    run(recipe, tmp_path / "out")
    assert_same_folder(tmp_path / "out", stock(recipe))


def test_tensors_of_several_dtypes_in_one_file(tmp_path, stock):
    folders = triple(tmp_path)
    rewrite(folders["target"], lambda name, t: t.double() if "norm" in name else t)
    recipe = text(folders).replace("out_dtype: bfloat16\n", "")
    run(recipe, tmp_path / "out")
    assert_same_folder(tmp_path / "out", stock(recipe))


def test_dtype_rounds_wider_donors_as_they_are_read(tmp_path, stock):
    folders = triple(tmp_path)
    rewrite(folders["grpo"], lambda _, t: t.float() * 1.0009)
    recipe = text(folders, out_dtype="float32", extra="dtype: bfloat16\n")
    run(recipe, tmp_path / "out")
    assert_same_folder(tmp_path / "out", stock(recipe))
    run(text(folders, out_dtype="float32"), tmp_path / "exact")
    with pytest.raises(AssertionError):
        assert_same_tensors(tmp_path / "out", tmp_path / "exact")


def test_sharded_in_and_out(tmp_path, stock, models):
    from transformers import AutoModelForCausalLM

    folders = {}
    for name, folder in models.items():
        folders[name] = tmp_path / name
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.save_pretrained(folders[name], max_shard_size="20KB")
        assert len(list(folders[name].glob("model-*.safetensors"))) > 1
    run(text(folders), tmp_path / "out", shard_size=15_000)
    assert len(list((tmp_path / "out").glob("model-0*-of-0*.safetensors"))) > 1
    assert_same_tensors(tmp_path / "out", stock(text(models)))
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.bfloat16


VARIANTS = {
    "filters": (
        "scale: 0.7",
        "scale: [{filter: mlp, value: 0.3}, {filter: norm, value: 0}, {value: 1.1}]",
    ),
    "gradient": ("scale: 0.7", "scale: [0.2, 0.9, 0.4]"),
    "filter with gradient": (
        "scale: 0.7",
        "scale: [{filter: self_attn, value: [0.0, 1.0]}, {value: 0.5}]",
    ),
    "zero": ("scale: 0.7", "scale: 0.0"),
    "negative": ("scale: 0.7", "scale: -1.0"),
    "density": ("scale: 0.7", "scale: 0.7, density: 0.3".replace(", ", "\n  ")),
    "random control": ("scale: 0.7", "scale: 0.7\n  control: random\n  seed: 3"),
    "permuted control": ("scale: 0.7", "scale: 0.7\n  control: permuted"),
    "sparse control": ("scale: 0.7", "scale: 0.7\n  control: permuted\n  density: 0.5"),
    "weight": ("{role: grpo}", "{role: grpo, weight: -0.4}"),
}


@pytest.mark.parametrize(("old", "new"), VARIANTS.values(), ids=VARIANTS)
def test_recipe_variants(tmp_path, stock, models, old, new):
    recipe = text(models).replace(old, new)
    assert recipe != text(models)
    run(recipe, tmp_path / "out")
    assert_same_folder(tmp_path / "out", stock(recipe))


def sliced(models, *ranges):
    text = f"merge_method: reasoning_vector\nbase_model: {models['target']}\nslices:\n"
    for first, last in ranges:
        text += "  - sources:\n"
        for role in ("target", "grpo", "sft"):
            entry = f"model: {models[role]}, layer_range: [{first}, {last}]"
            entry += "" if role == "target" else f", parameters: {{role: {role}}}"
            text += f"      - {{{entry}}}\n"
        text += f"    parameters: {{scale: {1 / (1 + last)}}}\n"
    return text + "parameters: {scale: 1.0}\nout_dtype: bfloat16\n"


def test_slices(tmp_path, stock):
    recipe = sliced(triple(tmp_path, "Llama"), (1, 2), (0, 2))
    run(recipe, tmp_path / "out")
    assert '"num_hidden_layers": 3' in (tmp_path / "out" / "config.json").read_text()
    assert_same_folder(tmp_path / "out", stock(recipe))


def test_slices_that_transformers_refuses(tmp_path, models):
    with pytest.raises(RecipeError, match="layer_types"):
        run(sliced(models, (1, 2), (0, 2)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_several_pairs_and_a_dense_vector(tmp_path, stock, models):
    second = make_triple(tmp_path / "second")
    vector = shutil.copytree(models["grpo"], tmp_path / "vector")
    rewrite(vector, lambda _, t: t.float() * 1e-3)
    recipe = text(models).replace(
        "parameters:\n  scale",
        f"""\
  - model: {second["grpo"]}
    parameters: {{role: grpo, pair: second, weight: 0.5}}
  - model: {second["sft"]}
    parameters: {{role: sft, pair: second}}
  - model: {vector}
    parameters: {{role: vector, weight: 2}}
parameters:
  scale""",
    )
    rewrite(second["grpo"], lambda _, t: t * 1.1)
    run(recipe, tmp_path / "out")
    assert_same_folder(tmp_path / "out", stock(recipe))


@pytest.mark.parametrize(
    "extra", ["", "  density: 0.4\n", "  control: random\n", "dtype: bfloat16\n"]
)
def test_a_compact_vector_stands_for_its_donors(tmp_path, stock, models, extra):
    from rvec_merge.vector.extract import extract_compact
    from rvec_merge.vector.inputs import open_donors

    donors = open_donors(models["grpo"], models["sft"])
    extract_compact(donors, tmp_path / "vector", shard_size=10**6)
    recipe = text(models).replace("out_dtype", f"{extra}out_dtype")
    packed = f"""\
merge_method: reasoning_vector
base_model: {models["target"]}
models:
  - model: {tmp_path / "vector"}
    parameters: {{role: vector}}
parameters:
  scale: 0.7
{extra}out_dtype: bfloat16
"""
    run(packed, tmp_path / "out")
    assert_same_tensors(tmp_path / "out", stock(recipe))
