"""Links out of a model's folder are refused, the Hub cache's own aside."""

import os
import shutil
import socket

import pytest

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import CheckpointError, RvecError
from rvec_merge.files.plain_folder import check_plain
from rvec_merge.merge.run import merge
from rvec_merge.merge.settings import Settings
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import RECIPE


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret").write_text("a token")
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("chat_template.jinja", "../secret"),
        ("config.json", "{tmp}/secret"),
        ("model.safetensors", "../secret"),
        ("README.md", "deep/../../secret"),
        ("tokenizer.json", "../not-there-yet"),
        ("anything", ".."),
        ("additional_chat_templates", ".."),
        ("additional_chat_templates/tool.jinja", "../../secret"),
        ("loop", "loop/../.."),
    ],
)
def test_a_link_out_is_refused(folder, tmp_path, name, target):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target.format(tmp=tmp_path))
    with pytest.raises(CheckpointError, match=f"{name.split('/')[0]}.* leads to "):
        check_plain(folder)


def test_links_inside_and_a_link_to_the_folder_are_its_own(folder, tmp_path):
    (folder / "generation_config.json").symlink_to("config.json")
    (folder / "latest").symlink_to("deep")
    (tmp_path / "link").symlink_to(folder)
    check_plain(tmp_path / "link")


def test_pipes_devices_and_sockets_are_refused(folder, monkeypatch):
    os.mkfifo(folder / "README.md")
    monkeypatch.chdir(folder)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("tokenizer.json")
        with pytest.raises(CheckpointError) as refusal:
            check_plain(folder)
    said = "is a device, a pipe or a socket"
    assert refusal.value.facts[1:] == (f"README.md {said}", f"tokenizer.json {said}")


@pytest.mark.parametrize("repo", ["models--org--name", "elsewhere"])
def test_the_hubs_cache_links_to_its_blobs(folder, tmp_path, repo):
    cache = tmp_path / "hub"
    snapshot = cache / repo / "snapshots" / ("c" * 40)
    (snapshot / "additional_chat_templates").mkdir(parents=True)
    shared = cache / "blobs" / "aa" / ("a" * 64)
    for blob in (cache / repo / "blobs" / ("b" * 40), shared):
        blob.parent.mkdir(parents=True)
        blob.write_text("{}")
    (cache / repo / "blobs" / ("a" * 64)).symlink_to(f"../../blobs/aa/{'a' * 64}")
    (snapshot / "config.json").symlink_to(f"../../blobs/{'b' * 40}")
    (snapshot / "model.safetensors").symlink_to(f"../../blobs/{'a' * 64}")
    (snapshot / "additional_chat_templates/x.jinja").symlink_to(f"../../../blobs/{'b' * 40}")
    if repo == "elsewhere":
        with pytest.raises(CheckpointError, match="leads to"):
            check_plain(snapshot)
        return
    check_plain(snapshot)
    (cache / repo / "blobs" / ("d" * 40)).symlink_to(tmp_path / "secret")
    (snapshot / "tokenizer.json").symlink_to(f"../../blobs/{'d' * 40}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json leads to"):
        check_plain(snapshot)


@pytest.mark.parametrize("extra", ["", "tokenizer: {source: base}\n"])
def test_a_merge_does_not_copy_what_a_link_leads_to(triple, tmp_path, extra):
    (tmp_path / "secret").write_text("a token")
    folders = {**triple, "target": shutil.copytree(triple["target"], tmp_path / "target")}
    (folders["target"] / "chat_template.jinja").symlink_to(tmp_path / "secret")
    recipe = RECIPE.format(**folders, scale=1.0, out_dtype="bfloat16") + extra
    with pytest.raises(RvecError, match=r"chat_template\.jinja leads to"):
        merge(parse_recipe(recipe), tmp_path / "out", Settings())
    assert not (tmp_path / "out").exists()
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja leads to"):
        Checkpoint.open(folders["target"])
