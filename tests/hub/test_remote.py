"""What a merge reads of the Hub, and in which order."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rvec_merge.errors import CheckpointError, IncompatibleTensorsError, RvecError
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.recipes import open_recipe
from rvec_merge.hub.remote import see
from rvec_merge.merge.prepare import fetch_inputs
from rvec_merge.merge.run import merge
from rvec_merge.merge.settings import Settings
from rvec_merge.preflight import examine
from tests.conftest import load_tensors
from tests.hub.conftest import folder_files
from tests.hub.state import Hub

WEIGHTS = r"cdn:|\.safetensors"


def fetch_and_merge(source: str | Path, out: Path) -> None:
    recipe = open_recipe(source)
    fetch_inputs(recipe, out, Settings())
    merge(recipe, out)


@pytest.fixture
def enlarged(hub: Hub, triple, shared: dict[str, str], tmp_path: Path) -> int:
    """Each of the shared models has a vocabulary of so many bytes."""
    rows = 30_000
    for name in shared:
        files = folder_files(triple[name])
        tensors = load_tensors(triple[name])
        tensors["model.embed_tokens.weight"] = torch.zeros(rows, 32, dtype=torch.bfloat16)
        save_file(tensors, tmp_path / "large.safetensors", {"format": "pt"})
        files["model.safetensors"] = (tmp_path / "large.safetensors").read_bytes()
        size = b'"vocab_size": %d' % rows
        files["config.json"] = files["config.json"].replace(b'"vocab_size": 64', size)
        hub.put(f"org/{name}", files)
    return rows * 64


def test_an_impossible_merge_fails_on_headers_alone(
    hub: Hub, enlarged: int, recipe_file: Path, tmp_path: Path
):
    tensors = load_tensors_of(hub, tmp_path)
    tensors["model.norm.weight"] = torch.ones(33, dtype=torch.bfloat16)
    save_file(tensors, tmp_path / "bad.safetensors", {"format": "pt"})
    bad = (tmp_path / "bad.safetensors").read_bytes()
    hub.put("org/grpo", hub.files("org/grpo") | {"model.safetensors": bad})
    with pytest.raises(IncompatibleTensorsError, match="Shapes differ in 1 of"):
        fetch_and_merge(recipe_file, tmp_path / "out")
    assert hub.sent(WEIGHTS, "cdn") <= 3 * 100_001 < enlarged
    assert not (tmp_path / "out").exists()


def test_a_check_reads_no_weights_and_its_plan_is_the_merges(
    hub: Hub, enlarged: int, recipe_file: Path, tmp_path: Path
):
    """The remote view of a model is the local one, to each dtype, shape and size."""
    recipe = open_recipe(recipe_file)
    report = examine(recipe, tmp_path / "out", resolver=see)
    assert not report.errors
    assert report.facts is not None
    assert report.facts.output_bytes > enlarged
    assert hub.sent(WEIGHTS, "cdn") <= 3 * 100_001
    fetch_inputs(recipe, tmp_path / "out", Settings())
    local = examine(recipe, tmp_path / "out")
    assert [t.name for t in local.tensors] == [t.name for t in report.tensors]
    assert local.facts.output_bytes == report.facts.output_bytes
    for here, there in zip(local.models, report.models, strict=True):
        assert here.tensors is not None
        assert there.tensors is not None
        assert {n: (i.dtype, i.shape, i.nbytes) for n, i in here.tensors.items()} == {
            n: (i.dtype, i.shape, i.nbytes) for n, i in there.tensors.items()
        }


def test_sharded_models_merge_to_the_same_bits(
    hub: Hub, triple, shared, recipe_file: Path, tmp_path: Path
):
    fetch_and_merge(recipe_file, tmp_path / "whole")
    for name in shared:
        hub.put(f"org/{name}", folder_files(triple[name]) | sharded(triple[name], tmp_path / name))
        del hub.files(f"org/{name}")["model.safetensors"]
    fetch_and_merge(recipe_file, tmp_path / "sharded")
    whole, parts = (load_tensors(tmp_path / n) for n in ("whole", "sharded"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def sharded(folder: Path, work: Path, shards: int = 3) -> dict[str, bytes]:
    """A checkpoint's weights in several files, with their index."""
    import json

    tensors = load_file(folder / "model.safetensors")
    work.mkdir()
    names = [f"model-{i:05}-of-{shards:05}.safetensors" for i in range(1, shards + 1)]
    placed = {name: names[i * shards // len(tensors)] for i, name in enumerate(tensors)}
    for file in names:
        part = {n: tensors[n] for n, at in placed.items() if at == file}
        save_file(part, work / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": placed}
    (work / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder_files(work)


def test_templates_and_generation_settings_of_the_target_reach_the_output(
    hub: Hub, family, tmp_path: Path
):
    for name, folder in family.items():
        hub.put(f"org/{name}", folder_files(folder))
    target = hub.files("org/target") | {"chat_template.jinja": b"{{ messages[0].content }}"}
    config = re.sub(rb'"chat_template": ".*?[^\\]",?\n', b"", target["tokenizer_config.json"])
    hub.put("org/target", target | {"tokenizer_config.json": config})
    path = tmp_path / "recipe.yaml"
    path.write_text(TRIPLE)
    fetch_and_merge(path, tmp_path / "out")
    assert (tmp_path / "out/chat_template.jinja").read_bytes() == target["chat_template.jinja"]
    assert (tmp_path / "out/generation_config.json").is_file()


TRIPLE = """\
merge_method: reasoning_vector
base_model: org/target
models:
  - {model: org/grpo, parameters: {role: grpo}}
  - {model: org/sft, parameters: {role: sft}}
parameters: {scale: 1.0}
out_dtype: bfloat16
"""


def test_a_rerun_downloads_nothing_and_offline_the_cache_does(
    hub: Hub, shared, recipe_file: Path, tmp_path: Path, monkeypatch
):
    from huggingface_hub import constants

    from rvec_merge.hub.models import fetch_model
    from rvec_merge.hub.references import HubReference

    fetch_inputs(open_recipe(recipe_file), tmp_path / "a", Settings())
    before = hub.sent(WEIGHTS)
    fetch_inputs(open_recipe(recipe_file), tmp_path / "b", Settings())
    assert hub.sent(WEIGHTS) == before
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    count = len(hub.requests)
    recipe = open_recipe(recipe_file)
    assert {str(m) for m in recipe.config.referenced_models()} == {
        f"org/{name}@{commit}" for name, commit in shared.items()
    }
    assert fetch_model(HubReference("org/target")).name == shared["target"]
    assert len(hub.requests) == count


def test_a_branch_that_moves_in_between_changes_nothing(
    hub: Hub, shared, recipe_file: Path, tmp_path: Path
):
    fetch_and_merge(recipe_file, tmp_path / "still")

    def move(handler) -> bool:
        hub.put("org/grpo", {"config.json": b"{}"})
        return False

    shutil.rmtree(tmp_path / "hf")
    hub.fail("GET", "hub:/org/grpo/resolve/.*safetensors", move)
    fetch_and_merge(recipe_file, tmp_path / "moved")
    assert hub.repos["org/grpo"].branches["main"] != shared["grpo"]
    name = "model.safetensors"
    assert (tmp_path / "still" / name).read_bytes() == (tmp_path / "moved" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"model.safetensors": None, "pytorch_model.bin": b"x"}, CheckpointError, "pickled"),
        ({"model.safetensors": None}, CheckpointError, "no checkpoint"),
        (
            {
                "model.safetensors": None,
                "adapter_config.json": b'{"base_model_name_or_path": "org/base"}',
                "training_args.bin": b"x",
            },
            CheckpointError,
            r"(?s)an adapter, not a model.*org/base\+org/",
        ),
        ({"model.safetensors": b"short"}, HubError, "header on the Hub is malformed"),
        ({"config.json": b"[1]"}, CheckpointError, "holds no JSON object"),
        (
            {
                "model.safetensors": None,
                "model.safetensors.index.json": b'{"weight_map": {"a": "../../x.safetensors"}}',
            },
            HubError,
            "does not hold beside it",
        ),
    ],
)
def test_what_is_wrong_with_a_model_is_said_before_the_download(
    hub: Hub, shared, recipe_file: Path, tmp_path: Path, change, error, said
):
    files = {**hub.files("org/sft"), **change}
    hub.put("org/sft", {name: data for name, data in files.items() if data is not None})
    with pytest.raises(RvecError, match=said) as caught:
        fetch_and_merge(recipe_file, tmp_path / "out")
    assert isinstance(caught.value, error)
    assert hub.sent(WEIGHTS, "cdn") <= 3 * 100_001


def test_a_stale_index_on_the_hub_is_passed_over_and_told(
    hub: Hub, shared, recipe_file: Path, tmp_path: Path
):
    """As in a folder: what transformers would download is what is seen, fetched and merged."""
    index = b'{"metadata": {}, "weight_map": {"model.norm.weight": "old.safetensors"}}'
    stale = {**hub.files("org/grpo"), "model.safetensors.index.json": index}
    fetch_and_merge(recipe_file, tmp_path / "right")
    hub.put("org/grpo", {**stale, "old.safetensors": hub.files("org/sft")["model.safetensors"]})
    report = examine(open_recipe(recipe_file), None, resolver=see)
    told = "model.safetensors is read, model.safetensors.index.json is not"
    assert any(told in str(notice) for notice in report.warnings)
    assert not report.errors
    fetch_and_merge(recipe_file, tmp_path / "out")
    name = "model.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "right" / name).read_bytes()
    assert not list((tmp_path / "hf").rglob("old.safetensors"))


def test_one_checkpoint_in_two_repos_is_known_by_its_hash(
    hub: Hub, enlarged: int, recipe_file: Path, tmp_path: Path
):
    hub.put("org/sft", hub.files("org/grpo"))
    with pytest.raises(RvecError, match="their weight files are identical"):
        fetch_and_merge(recipe_file, tmp_path / "out")
    assert hub.sent(WEIGHTS, "cdn") <= 3 * 100_001


def test_offline_a_merge_uses_the_cache(
    hub: Hub, family, recipe_file: Path, tmp_path: Path, monkeypatch
):
    from huggingface_hub import constants

    for name, folder in family.items():
        hub.put(f"org/{name}", folder_files(folder))
    fetch_and_merge(recipe_file, tmp_path / "online")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    fetch_and_merge(recipe_file, tmp_path / "offline")
    assert not hub.requests
    online, offline = (folder_files(tmp_path / name) for name in ("online", "offline"))
    del online["README.md"], offline["README.md"]  # its title is the folder's name
    assert online == offline
    assert "tokenizer.json" in offline


def test_a_recipe_over_folders_asks_the_hub_nothing(hub: Hub, triple, tmp_path: Path):
    from tests.conftest import RECIPE

    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16"))
    fetch_and_merge(path, tmp_path / "out")
    assert not hub.requests


def load_tensors_of(hub: Hub, work: Path) -> dict[str, torch.Tensor]:
    path = work / "grpo.safetensors"
    path.write_bytes(hub.files("org/grpo")["model.safetensors"])
    return load_file(path)
