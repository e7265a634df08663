"""The weights that are meant are those that transformers loads, wherever a folder lies."""

import json
import shutil
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import CheckpointError
from rvec_merge.merge.run import merge
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import RECIPE, load_tensors

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
KINDS = (SINGLE, INDEX, "pytorch_model.bin", "pytorch_model.bin.index.json")


def write(folder: Path, kind: str, tensors: dict[str, torch.Tensor]) -> None:
    """Weights that are opened by the file ``kind``."""
    suffix = ".bin" if ".bin" in kind else ".safetensors"
    shard = f"{kind.removesuffix('.index.json').removesuffix(suffix)}-00001-of-00001{suffix}"
    if kind.endswith(".index.json"):
        index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, shard)}
        (folder / kind).write_text(json.dumps(index))
    path = folder / (shard if kind.endswith(".index.json") else kind)
    if suffix == ".bin":
        torch.save(tensors, path)
    else:
        save_file(tensors, path, metadata={"format": "pt"})


def loaded(folder: Path) -> set[str]:
    """The weight files that transformers itself would read."""
    from transformers import AutoConfig
    from transformers.modeling_utils import _get_resolved_checkpoint_files

    config = AutoConfig.from_pretrained(folder)
    files, _ = _get_resolved_checkpoint_files(
        str(folder), None, None, None, None, False, getattr(config, "transformers_weights", None)
    )
    return {Path(file).name for file in files}


@pytest.mark.parametrize("named", [None, "other.safetensors", "other.safetensors.index.json"])
@pytest.mark.parametrize("present", [p for p in product((True, False), repeat=4) if any(p)])
def test_the_files_read_are_those_that_transformers_reads(present, named, tmp_path):
    config = {"model_type": "qwen2", "transformers_weights": named}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for kind, there in zip((*KINDS, named), (*present, named), strict=True):
        if there:
            write(tmp_path, kind, {f"from {kind}": torch.ones(1)})
    checkpoint = Checkpoint.open(tmp_path, allow_pickle=True)
    read = {name for name in checkpoint.files if not name.endswith(".json")}
    assert read == loaded(tmp_path) == {info.path.name for info in checkpoint.tensors.values()}


def test_a_named_file_that_is_not_there_is_an_error(tmp_path):
    write(tmp_path, SINGLE, {"a": torch.ones(1)})
    (tmp_path / "config.json").write_text('{"transformers_weights": "gone.safetensors"}')
    with pytest.raises(CheckpointError, match=r"transformers_weights: 'gone.safetensors'"):
        Checkpoint.open(tmp_path)


def test_what_a_shard_holds_beside_its_index_is_read(triple, tmp_path):
    """transformers reads whole shards: a head that no index names is the model's head."""
    from transformers import AutoModelForCausalLM

    folder = Path(shutil.copytree(triple["grpo"], tmp_path / "grpo"))
    tensors = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    write(folder, INDEX, tensors)
    head = tensors["model.embed_tokens.weight"] + 1
    shard = folder / "model-00001-of-00001.safetensors"
    save_file({**tensors, "lm_head.weight": head}, shard, metadata={"format": "pt"})
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    assert torch.equal(model.lm_head.weight, head)
    assert "lm_head.weight" in Checkpoint.open(folder).tensors


def test_a_tensor_in_two_shards_is_refused(tmp_path):
    for name in ("a", "b"):
        save_file({"x": torch.ones(1), name: torch.ones(1)}, tmp_path / f"{name}.safetensors")
    weight_map = {"x": "a.safetensors", "a": "a.safetensors", "b": "b.safetensors"}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match="holds 1 tensors that another shard holds too"):
        Checkpoint.open(tmp_path)


@pytest.fixture(params=["shards gone", "shards there"])
def stale(request, triple, tmp_path):
    """The tiny triple; its GRPO donor was sharded before it was saved as one file."""
    folder = Path(shutil.copytree(triple["grpo"], tmp_path / "grpo"))
    tensors = load_file(folder / SINGLE)
    write(folder, INDEX, {name: tensor + 1 for name, tensor in tensors.items()})
    if request.param == "shards gone":
        (folder / "model-00001-of-00001.safetensors").unlink()
    return RECIPE.format(**{**triple, "grpo": folder}, scale=1.0, out_dtype="bfloat16")


def test_a_stale_index_is_passed_over_and_told(stale, triple, tmp_path, stock_merge, caplog):
    outcome = merge(parse_recipe(stale), tmp_path / "out")
    told = [str(notice) for notice in outcome.warnings]
    assert any(f"{SINGLE} is read, {INDEX} is not" in text for text in told)
    right = RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16")
    merge(parse_recipe(right), tmp_path / "right")
    same_tensors(tmp_path / "right", tmp_path / "out")
    # mergekit alone would take the index.
    same_tensors(tmp_path / "right", stock_merge(stale))
    assert f"{SINGLE} is read, {INDEX} is not" in caplog.text


def test_a_stale_index_is_passed_over_where_mergekit_executes(stale, triple, tmp_path):
    """Its inputs are what transformers loads there too."""

    def linear(recipe):
        donors = [str(model) for model in parse_recipe(recipe).config.referenced_models()][1:]
        models = "".join(f"  - {{model: {d}, parameters: {{weight: 0.5}}}}\n" for d in donors)
        return f"merge_method: linear\nmodels:\n{models}dtype: bfloat16\n"

    assert merge(parse_recipe(linear(stale)), tmp_path / "out").executor
    right = RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16")
    merge(parse_recipe(linear(right)), tmp_path / "right")
    same_tensors(tmp_path / "right", tmp_path / "out")


def test_mergekits_functions_alone_are_refused_two_sets(stale, triple):
    """Where no recipe is in sight, mergekit's loader has its own way."""
    from rvec_merge.preflight.stock import check_checkpoints

    folders = [str(model) for model in parse_recipe(stale).config.referenced_models()]
    with pytest.raises(CheckpointError, match=f"mergekit would read {INDEX}"):
        check_checkpoints(folders, str(triple["target"]))


def same_tensors(expected: Path, found: Path) -> None:
    ours, theirs = load_tensors(expected), load_tensors(found)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
