"""Donors saved through what a trainer wraps a model in: read, merged, extracted; else refused."""

import shutil
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from rvec_merge.checkpoint.places import bare
from rvec_merge.errors import RvecError
from rvec_merge.merge.verify import verify
from rvec_merge.preflight.run import examine
from rvec_merge.recipe.read import parse_recipe
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.conftest import RECIPE, load_tensors, make_model, make_triple
from tests.merge.conftest import assert_same_tensors, run

PREFIXES = ["module.", "_orig_mod.", "base_model.model.", "pretrained_model.", "actor.module."]


def text_for(folders: dict[str, Path]) -> str:
    return RECIPE.format(scale=0.5, out_dtype="float32", **folders)


def with_prefix(source: Path, folder: Path, prefix: str) -> Path:
    """A copy of a checkpoint whose names were saved with something in front."""
    shutil.copytree(source, folder)
    tensors = load_file(folder / "model.safetensors")
    renamed = {f"{prefix}{name}": value for name, value in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_donor_in_a_wrapper_merges_as_the_plain_one(
    prefix: str, triple: dict[str, Path], tmp_path: Path
) -> None:
    grpo = with_prefix(triple["grpo"], tmp_path / "grpo", prefix)
    text = text_for({**triple, "grpo": grpo})
    report = examine(parse_recipe(text), tmp_path / "out")
    report.raise_errors()
    said = [notice for notice in report.warnings if "other names" in notice.headline]
    assert [prefix in str(notice.facts) for notice in said] == [True]
    run(text, tmp_path / "out")
    run(text_for(triple), tmp_path / "plain")
    assert_same_tensors(tmp_path / "out", tmp_path / "plain")
    assert not any(prefix in name for name in load_tensors(tmp_path / "out"))


def test_what_wrappers_really_save(tmp_path: Path) -> None:
    """torch.compile's names, and PEFT's of a model that it unloaded the adapter's part of."""
    triple = make_triple(tmp_path / "triple", tie_word_embeddings=False)
    model = make_model("Qwen2", 1, tie_word_embeddings=False)
    compiled = torch.compile(model, backend="eager")
    prompted = peft.get_peft_model(
        make_model("Qwen2", 1, tie_word_embeddings=False),
        peft.LoraConfig(target_modules=["q_proj"]),
    )
    for name, state in {
        "compiled": compiled.state_dict(),
        "peft": {
            name.replace(".base_layer", ""): value
            for name, value in prompted.state_dict().items()
            if "lora_" not in name
        },
    }.items():
        folder = tmp_path / name
        shutil.copytree(triple["sft"], folder)
        assert state.keys() != load_tensors(folder).keys()
        values = {name: value.contiguous() for name, value in state.items()}
        save_file(values, folder / "model.safetensors", metadata={"format": "pt"})
        out = tmp_path / f"out-{name}"
        run(text_for({**triple, "sft": folder}), out)
        run(text_for(triple), tmp_path / f"plain-{name}")
        assert_same_tensors(out, tmp_path / f"plain-{name}")


def test_a_wrapped_donor_with_a_head_that_the_target_ties(tmp_path: Path) -> None:
    """The head is read under the wrapper, the others' from their embeddings."""
    triple = make_triple(tmp_path / "triple")
    plain, wrapped = tmp_path / "plain", tmp_path / "wrapped"
    shutil.copytree(triple["grpo"], plain)
    tensors = load_file(plain / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] * 2
    save_file(tensors, plain / "model.safetensors", metadata={"format": "pt"})
    with_prefix(plain, wrapped, "module.")
    run(text_for({**triple, "grpo": plain}), tmp_path / "a")
    run(text_for({**triple, "grpo": wrapped}), tmp_path / "b")
    assert_same_tensors(tmp_path / "b", tmp_path / "a")
    assert "lm_head.weight" in load_tensors(tmp_path / "b")


def test_extraction_pairs_wrapped_donors(triple: dict[str, Path], tmp_path: Path) -> None:
    sft = with_prefix(triple["sft"], tmp_path / "sft", "_orig_mod.")
    wrapped = open_donors(triple["grpo"], sft)
    plain = open_donors(triple["grpo"], triple["sft"])
    heads = [
        extract_compact(pair, tmp_path / name, shard_size=1 << 30)
        for name, pair in {"wrapped": wrapped, "plain": plain}.items()
    ]
    assert heads[0].tensors == heads[1].tensors
    assert heads[0].totals.nonzero > 0


def test_a_merge_of_wrapped_donors_verifies(triple: dict[str, Path], tmp_path: Path) -> None:
    grpo = with_prefix(triple["grpo"], tmp_path / "grpo", "module.")
    run(text_for({**triple, "grpo": grpo}), tmp_path / "out")
    assert verify(tmp_path / "out").holds


def test_where_mergekit_plans_its_names_count(triple: dict[str, Path], tmp_path: Path) -> None:
    grpo = with_prefix(triple["grpo"], tmp_path / "grpo", "module.")
    recipe = parse_recipe(text_for({**triple, "grpo": grpo}))
    with pytest.raises(RvecError, match=r"carry the prefix module\."):
        examine(recipe, tmp_path / "out", stock=True).raise_errors()


@pytest.mark.parametrize("case", ["ambiguous", "shape", "missing"])
def test_what_a_wrapper_does_not_explain_is_refused(
    case: str, triple: dict[str, Path], tmp_path: Path
) -> None:
    grpo = with_prefix(triple["grpo"], tmp_path / "grpo", "module.")
    tensors = load_file(grpo / "model.safetensors")
    name = "module.model.norm.weight"
    if case == "ambiguous":
        tensors["actor.model.norm.weight"] = tensors[name] * 2
    elif case == "shape":
        tensors[name] = tensors[name][:-1].clone()
    else:
        del tensors[name]
    save_file(tensors, grpo / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RvecError, match="not in every input"):
        run(text_for({**triple, "grpo": grpo}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.0._checkpoint_wrapped_module.mlp.up.weight", "layers.0.mlp.up.weight"),
        ("language_model.model.layers.0.w.weight", "layers.0.w.weight"),
        ("model.language_model.layers.0.w.weight", "layers.0.w.weight"),
        ("model.visual.blocks.0.weight", "visual.blocks.0.weight"),
        ("lm_head.weight", "lm_head.weight"),
        ("model.weight", "model.weight"),
    ],
)
def test_bare_names(name: str, expected: str) -> None:
    assert bare(name) == expected
