"""What a merge of Hub models records, and that verifying it fetches no more than the merge did."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from mergekit.io.tasks import LoaderCache

from rvec_merge.experiment.fingerprint import checkpoint_fingerprint
from rvec_merge.hub.fetch import Damaged
from rvec_merge.hub.models import fetch_model
from rvec_merge.hub.references import HubReference
from rvec_merge.merge.verify import verify
from rvec_merge.vector.inputs import open_donors
from rvec_merge.vector.lora import extract_lora
from tests.hub.conftest import folder_files
from tests.hub.state import Hub
from tests.hub.test_fetch import as_in_another_process
from tests.hub.test_remote import fetch_and_merge, sharded

UNDECLARED = ("extra.safetensors", "consolidated.00.safetensors", "tokenizer.model.v3", "a/b.json")


@pytest.fixture
def merged(hub: Hub, shared, triple, recipe_file: Path, tmp_path: Path) -> Path:
    """A merge of the triple, whose repos hold more than a model's files; sft is in shards."""
    for name in shared:
        hub.put(f"org/{name}", hub.files(f"org/{name}") | dict.fromkeys(UNDECLARED, b"x" * 1000))
    files = hub.files("org/sft") | sharded(triple["sft"], tmp_path / "parts")
    hub.put("org/sft", {n: b for n, b in files.items() if n != "model.safetensors"})
    fetch_and_merge(recipe_file, tmp_path / "out")
    LoaderCache.loaders.clear()  # as in another process: mergekit would ask the Hub again
    return tmp_path / "out"


def test_the_hashes_recorded_are_those_of_the_bytes(hub: Hub, merged: Path):
    inputs = json.loads((merged / "rvec_merge.json").read_text())["inputs"]
    assert len(inputs) == 3
    for record in inputs:
        name, _, commit = record["reference"].partition("@")
        assert record["revision"] == commit == hub.repos[name].branches["main"]
        files = hub.files(name)
        assert len(record["files"]) == (3 if name == "org/sft" else 1)
        assert {file: entry["sha256"] for file, entry in record["files"].items()} == {
            file: hashlib.sha256(files[file]).hexdigest() for file in record["files"]
        }


def test_verify_finds_nothing_changed_and_works_offline(hub: Hub, merged: Path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    found = verify(merged)
    assert found.holds
    assert not found.changed
    assert not hub.requests


def test_verify_fetches_what_the_merge_did_and_no_more(hub: Hub, merged: Path, tmp_path: Path):
    def cache() -> dict[str, bytes]:
        snapshots = tmp_path.glob("hf/hub/models--*/snapshots")
        return {f"{s.parent.name}/{n}": b for s in snapshots for n, b in folder_files(s).items()}

    of_the_merge = cache()
    assert not [name for name in of_the_merge if name.endswith(UNDECLARED)]
    shutil.rmtree(tmp_path / "hf")
    found = verify(merged)
    assert found.holds
    assert not found.changed
    assert cache() == of_the_merge


def test_verify_says_which_input_is_another(hub: Hub, merged: Path):
    path = merged / "rvec_merge.json"
    record = json.loads(path.read_text())
    for entry in record["inputs"]:
        if entry["reference"].startswith("org/grpo"):
            entry["files"]["model.safetensors"]["sha256"] = "0" * 64
    path.write_text(json.dumps(record))
    found = verify(merged)
    assert found.holds
    assert len(found.changed) == 1
    assert "org/grpo" in found.changed[0]


def test_a_checkpoint_is_one_for_experiments_wherever_it_lies(hub: Hub, shared, tmp_path: Path):
    folder = fetch_model(HubReference("org/grpo"))
    (tmp_path / "local").mkdir()
    for name, data in folder_files(folder).items():
        (tmp_path / "local" / name).write_bytes(data)
    assert checkpoint_fingerprint(folder) == checkpoint_fingerprint(tmp_path / "local")


def test_an_adapter_on_the_hub_is_compared_as_models_are(
    hub: Hub, shared, triple, recipe_file: Path, tmp_path: Path
):
    extract_lora(open_donors(triple["grpo"], triple["sft"]), tmp_path / "adapter", rank=2)
    files = folder_files(tmp_path / "adapter")
    hub.put("org/adapter", files | {"other.safetensors": b"x" * 1000})
    recipe_file.write_text(recipe_file.read_text().replace("org/grpo", "org/sft+org/adapter"))
    hub.damage(files["adapter_model.safetensors"])
    with pytest.raises(Damaged, match="adapter_model"):
        fetch_and_merge(recipe_file, tmp_path / "out")
    as_in_another_process()
    hub.mend()
    fetch_and_merge(recipe_file, tmp_path / "out")
    hub_files = {p.name for p in tmp_path.glob("hf/hub/*/snapshots/*/*.safetensors")}
    assert hub_files == {"model.safetensors", "adapter_model.safetensors"}
    fetched = [r.path for r in hub.requests if r.path.endswith("other.safetensors")]
    assert not fetched
