import json
from pathlib import Path

import pytest

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import CheckpointError, OutputError
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.recipes import open_recipe
from rvec_merge.hub.references import HubReference
from rvec_merge.merge.run import merge
from rvec_merge.sharing.pull import pull
from rvec_merge.sharing.push import prepare, push
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.conftest import RECIPE as LOCAL_RECIPE
from tests.hub.conftest import folder_files
from tests.hub.state import Hub


def test_a_vector_comes_back_as_it_was_pushed(hub: Hub, vector: Path, tmp_path: Path):
    (shards := sorted(vector.glob("*.safetensors")))
    assert len(shards) > 1
    url = push(prepare("vector", vector, "me/vector", license="mit"))
    assert url.startswith(f"{hub.endpoint}/me/vector/commit/")
    content = pull(HubReference("me/vector"), tmp_path / "out")
    assert content.kind.name == "vector"
    assert content.ignored == (".gitattributes",)
    card = folder_files(tmp_path / "out")
    assert card.pop("README.md").startswith(b"---\n")
    assert card == folder_files(vector)
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_extract_push_pull_merge_gives_the_bits_of_the_donors(
    hub: Hub, vector: Path, merged: Path, shared: dict[str, str], tmp_path: Path
):
    push(prepare("vector", vector, "me/vector", license="mit"))
    text = """\
merge_method: reasoning_vector
base_model: org/target
models:
  - model: me/vector
    parameters: {role: vector}
parameters: {scale: 1.0}
out_dtype: bfloat16
"""
    (tmp_path / "recipe.yaml").write_text(text)
    push(prepare("recipe", tmp_path / "recipe.yaml", "me/recipe", license="mit"))
    recipe = open_recipe("hf://me/recipe")
    from rvec_merge.merge.prepare import fetch_inputs
    from rvec_merge.merge.settings import Settings

    out = tmp_path / "out"
    fetch_inputs(recipe, out, Settings())
    merge(recipe, out)
    assert folder_files(out)["model.safetensors"] == folder_files(merged)["model.safetensors"]
    inputs = {i["reference"] for i in json.loads((out / "rvec_merge.json").read_text())["inputs"]}
    commit = hub.repos["me/vector"].branches["main"]
    assert inputs == {f"org/target@{shared['target']}", f"me/vector@{commit}"}
    push(prepare("merge", out, "me/merge", license="mit"))
    pull(HubReference("me/merge"), tmp_path / "again")
    assert (tmp_path / "again/model.safetensors").read_bytes() == (
        out / "model.safetensors"
    ).read_bytes()


def test_a_recipe_is_pinned_with_its_comments(
    hub: Hub, shared: dict[str, str], recipe_file: Path, tmp_path: Path
):
    push(prepare("recipe", recipe_file, "me/recipe", license="mit"))
    files = hub.files("me/recipe")
    wanted = recipe_file.read_text().replace('"org/sft@main"', "org/sft")
    for name, commit in shared.items():
        wanted = wanted.replace(f"org/{name}", f"org/{name}@{commit}")
    assert files["recipe.yaml"].decode() == wanted
    assert wanted in files["README.md"].decode()
    # The donors move on; the recipe does not.
    hub.put("org/grpo", {"config.json": b"{}"})
    assert open_recipe("hf://me/recipe").text == wanted


def test_a_second_push_replaces_the_first_in_one_commit(hub: Hub, triple, vector, tmp_path):
    push(prepare("vector", vector, "me/vector", license="mit"))
    before = set(hub.repos["me/vector"].commits)
    whole = tmp_path / "whole"
    extract_compact(open_donors(triple["grpo"], triple["sft"]), whole, shard_size=10**9)
    push(prepare("vector", whole, "me/vector", license="mit"))
    assert len(set(hub.repos["me/vector"].commits) - before) == 1
    assert set(hub.files("me/vector")) == {".gitattributes", "README.md", *folder_files(whole)}


def test_nothing_is_sent_while_preparing(hub: Hub, vector):
    upload = prepare("vector", vector, "me/vector", license="mit")
    assert not hub.requests
    assert set(upload.files) == {"README.md", *folder_files(vector)}
    sizes = {
        name: path.stat().st_size for name, path in upload.files.items() if name != "README.md"
    }
    assert {name: upload.size(name) for name in sizes} == sizes


@pytest.mark.parametrize("kind", ["vector", "merge", "results"])
def test_refuses_a_folder_without_provenance(hub: Hub, triple, kind):
    with pytest.raises(HubError, match="does not say where its content came from"):
        prepare(kind, triple["target"], "me/x", license="mit")


def test_refuses_weights_that_are_not_what_they_were(hub: Hub, vector, merged, tmp_path):
    for source, kind, error in ((vector, "vector", CheckpointError), (merged, "merge", HubError)):
        copy = copied(source, tmp_path / kind)
        shard = sorted(copy.glob("*.safetensors"))[0]
        data = bytearray(shard.read_bytes())
        data[-100] ^= 1
        shard.write_bytes(data)
        with pytest.raises(error, match="not what"):
            prepare(kind, copy, "me/x", license="mit")


@pytest.mark.parametrize("front", ["- a", "tags: 5", "eval_results: 3", "1: a", "tags: !!bool x"])
def test_refuses_a_card_whose_metadata_cannot_be_kept(hub: Hub, vector, tmp_path, front):
    copy = copied(vector, tmp_path / "copy")
    (copy / "README.md").write_text(f"---\n{front}\n---\n# Mine\n")
    with pytest.raises(HubError, match=r"metadata that cannot be kept(.|\n)*Fix: correct"):
        prepare("vector", copy, "me/vector", license="mit")


def test_refuses_a_missing_licence_and_says_what_the_origins_state(
    hub: Hub, shared, recipe_file, vector
):
    with pytest.raises(HubError, match="no licence") as caught:
        prepare("recipe", recipe_file, "me/recipe")
    assert "--license apache-2.0" in caught.value.fix
    assert any("states apache-2.0" in fact for fact in caught.value.facts)
    with pytest.raises(HubError, match="no licence"):
        prepare("vector", vector, "me/vector")


def test_a_card_that_states_a_licence_is_kept(hub: Hub, vector, tmp_path):
    copy = copied(vector, tmp_path / "copy")
    (copy / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\n\nMy words.\n")
    text = prepare("vector", copy, "me/vector").files["README.md"]
    assert "license: mit" in text
    assert "language: en" in text
    assert text.endswith("My words.\n")
    assert "library_name: rvec-merge" in text


def test_refuses_links_and_leaves_strange_files_out(hub: Hub, vector, tmp_path):
    copy = copied(vector, tmp_path / "copy")
    (copy / "notes.txt").write_text("mine")
    upload = prepare("vector", copy, "me/vector", license="mit")
    assert upload.left_out == ("notes.txt",)
    (copy / "tokenizer.json").symlink_to("/etc/hostname")
    with pytest.raises(HubError, match="holds a link"):
        prepare("vector", copy, "me/vector", license="mit")


def test_what_nobody_could_pull_is_not_pushed(hub: Hub, vector, monkeypatch):
    from rvec_merge.sharing import push as module

    monkeypatch.setattr(module, "MOST_FILES", len(folder_files(vector)))
    with pytest.raises(HubError, match="more files than a repo may have"):
        prepare("vector", vector, "me/vector", license="mit")


def test_refuses_a_recipe_over_folders(hub: Hub, triple, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(LOCAL_RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16"))
    with pytest.raises(HubError, match="names a folder of this machine"):
        prepare("recipe", path, "me/recipe", license="mit")


def test_pull_keeps_an_existing_folder_and_a_wrong_repo_leaves_none(hub: Hub, shared, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists"):
        pull(HubReference("org/target"), tmp_path / "out")
    with pytest.raises(HubError, match="holds nothing that rvec shares"):
        pull(HubReference("org/target"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def copied(source: Path, to: Path) -> Path:
    import shutil

    shutil.copytree(source, to)
    return to


def test_a_second_set_of_weights_is_neither_pushed_nor_pulled(
    hub: Hub, merged: Path, vector: Path, tmp_path: Path
):
    """Good shards with their index, and a file beside them that loaders would take instead."""
    poisoned = (merged / "model.safetensors").read_bytes()
    index = {"metadata": {}, "weight_map": {}}
    shard = "model-00001-of-00001.safetensors"
    index["weight_map"] = dict.fromkeys(Checkpoint.open(merged).tensors, shard)
    both = {
        **folder_files(merged),
        shard: poisoned,
        "model.safetensors.index.json": json.dumps(index).encode(),
    }
    strays = {**folder_files(vector), "vector-00099-of-00099.safetensors": poisoned}
    for kind, files in (("merge", both), ("vector", strays)):
        folder = tmp_path / kind
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        with pytest.raises(CheckpointError, match="second set of weights"):
            prepare(kind, folder, f"me/{kind}", license="mit")
        hub.put(f"me/{kind}", files)
        with pytest.raises(CheckpointError, match="second set of weights"):
            pull(HubReference(f"me/{kind}"), tmp_path / "out")
        assert not (tmp_path / "out").exists()
