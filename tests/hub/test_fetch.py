"""Damaged storage, and runs that fail or die on the way: the bits are right, or it is an error."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rvec_merge.files import hashes
from rvec_merge.hub import snapshot
from rvec_merge.hub.errors import HubError, Unreachable
from rvec_merge.hub.fetch import Damaged
from rvec_merge.hub.models import fetch_model
from rvec_merge.hub.recipes import fetch_models, open_recipe
from rvec_merge.hub.references import HubReference
from rvec_merge.sharing.pull import pull
from rvec_merge.sharing.push import prepare, push
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.conftest import REPOSITORY
from tests.hub.conftest import folder_files, over_http
from tests.hub.crash import STEPS
from tests.hub.server import status
from tests.hub.state import LARGE, Hub
from tests.hub.test_remote import sharded

SHARDS = 3


@pytest.fixture
def shards(hub: Hub, triple, tmp_path: Path) -> dict[str, dict[str, bytes]]:
    """The triple on the hub, in shards; what each repo holds."""
    for name, folder in triple.items():
        files = folder_files(folder) | sharded(folder, tmp_path / f"parts-{name}", SHARDS)
        del files["model.safetensors"]
        hub.put(f"org/{name}", files)
    return {name: hub.files(f"org/{name}") for name in triple}


def cached(name: str) -> dict[str, bytes]:
    """A model's files as they are used."""
    return folder_files(fetch_model(HubReference(f"org/{name}")))


def as_in_another_process() -> None:
    """Forget what this one knows of files and listings; so must the client, of Xet's names."""
    from huggingface_hub import _tree_cache

    hashes._known.clear()
    snapshot._list.cache_clear()
    _tree_cache._IN_MEMORY_TREE_CACHE.clear()


def weights(files: dict[str, bytes]) -> list[str]:
    return [name for name in files if name.endswith(LARGE)]


@pytest.mark.parametrize("count", [1, 2, SHARDS])
def test_all_damaged_files_of_a_run_are_named_and_forgotten_at_once(
    hub: Hub, shards, recipe_file: Path, count
):
    bad = {name: weights(shards[name])[:count] for name in ("grpo", "target")}
    for name, files in bad.items():
        for file in files:
            hub.damage(shards[name][file])
    recipe = open_recipe(recipe_file)
    for _ in range(2):  # a rerun is no way around it
        as_in_another_process()
        with pytest.raises(Damaged) as caught:
            fetch_models(recipe)
        assert sum("its hash differs" in fact for fact in caught.value.facts) == 2 * count
        assert all(file in str(caught.value) for files in bad.values() for file in files)
    hub.mend()
    as_in_another_process()
    fetch_models(recipe)
    assert all(cached(name) == files for name, files in shards.items())


@over_http
def test_what_arrived_while_another_download_failed_is_compared(hub: Hub, shards):
    files = weights(shards["grpo"])
    hub.damage(shards["grpo"][files[0]])
    hub.fail("HEAD", f"hub:.*{files[1]}", status(503), times=99)
    with pytest.raises(Damaged, match=files[0]):
        cached("grpo")
    hub.mend()
    with pytest.raises(Unreachable):
        cached("grpo")
    hub.faults.clear()
    assert cached("grpo") == shards["grpo"]


@pytest.fixture
def crash(hub: Hub, tmp_path: Path):
    """Fetch ``org/grpo`` in a process that meets a step; the process."""

    def run(step: str, call: int) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "0" if hub.xet else "1",
            "HF_XET_CACHE": str(tmp_path / "hf" / "xet"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        command = [sys.executable, "-m", "tests.hub.crash", "org/grpo", step, str(call)]
        return subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
        )

    return run


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_the_bits_are_right_or_it_is_an_error(
    hub: Hub, shards, crash, step, monkeypatch
):
    from huggingface_hub import constants

    files = weights(shards["grpo"])
    for file in files[:2]:
        hub.damage(shards["grpo"][file])
    for call in (2, 1):  # the damaged ones come, and are noted, in any run
        assert crash(step, call).returncode == -signal.SIGKILL
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError):
        cached("grpo")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.mend()
    try:
        found = cached("grpo")
    except Damaged:
        found = cached("grpo")
    assert found == shards["grpo"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert cached("grpo") == shards["grpo"]


def test_a_full_disk_is_no_failing_connection(hub: Hub, shards, crash):
    hub.put("org/grpo", shards["grpo"] | {"large.safetensors": os.urandom(1_000_000)})
    told = crash("full disk", 500_000).stdout
    assert "A file cannot be written or read." in told
    assert "File too large" in told
    assert "make room" in told


@pytest.fixture
def counted(monkeypatch) -> list[Path]:
    """The files that are hashed from here on; what this process knew before is forgotten."""
    found: list[Path] = []
    note = hashes._note

    def noted(path: Path, *rest: object) -> None:
        found.append(path)
        note(path, *rest)

    monkeypatch.setattr(hashes, "_note", noted)
    monkeypatch.setattr(hashes, "_known", {})
    return found


def test_each_byte_is_compared_once(hub: Hub, shards, counted):
    folder = fetch_model(HubReference("org/grpo"))
    assert len(counted) == len(shards["grpo"]) == len(set(counted))
    counted.clear()
    as_in_another_process()
    assert fetch_model(HubReference("org/grpo")) == folder
    assert not counted


@pytest.mark.parametrize("how", ["in place", "a note that was torn", "moved away"])
def test_what_changed_since_is_compared_again(hub: Hub, shards, counted, how, tmp_path: Path):
    shard = fetch_model(HubReference("org/grpo")) / weights(shards["grpo"])[0]
    counted.clear()
    as_in_another_process()
    notes = list((tmp_path / "hf").rglob("rvec-hashes/*"))
    assert len(notes) == len(shards["grpo"])
    if (
        how == "in place"
    ):  # size and times as before; not the time of the change, which none can set
        before, data = shard.stat(), bytearray(shard.read_bytes())
        data[-1] ^= 1
        with shard.open("r+b") as file:
            file.write(data)
        os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "a note that was torn":
        for note in notes:
            note.write_text(note.read_text()[:90])
    else:
        home = tmp_path / "hf"
        shutil.copytree(home, tmp_path / "copy", symlinks=True)
        shutil.rmtree(home)
        (tmp_path / "copy").rename(home)
    assert cached("grpo") == shards["grpo"]
    assert any(path.name == shard.name for path in counted)


def test_the_clients_own_tools_find_the_cache_as_it_should_be(hub: Hub, shards):
    from huggingface_hub import HfApi, scan_cache_dir

    folder = fetch_model(HubReference("org/grpo"))
    assert not HfApi().verify_repo_checksums("org/grpo").mismatches
    (folder / "config.json").write_bytes(b"{}")
    (told,) = HfApi().verify_repo_checksums("org/grpo").mismatches
    assert told["path"] == "config.json"
    fetch_model(HubReference("org/grpo"))
    checked = HfApi().verify_repo_checksums("org/grpo")
    assert not checked.mismatches
    assert not checked.extra_paths
    assert not scan_cache_dir().warnings


def test_a_damaged_vector_of_the_cache_is_fetched_again(hub: Hub, triple, tmp_path: Path):
    extract_compact(open_donors(triple["grpo"], triple["sft"]), tmp_path / "v", shard_size=10**9)
    push(prepare("vector", tmp_path / "v", "me/vector", license="mit"))
    pull(HubReference("me/vector"), tmp_path / "first")
    for blob in {path.resolve() for path in (tmp_path / "hf").rglob("vector.safetensors")}:
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.write_bytes(data)
    pull(HubReference("me/vector"), tmp_path / "second")
    assert folder_files(tmp_path / "second") == folder_files(tmp_path / "first")


@over_http
def test_what_another_tool_cached_is_compared_without_a_network(hub: Hub, shards, monkeypatch):
    from huggingface_hub import constants, hf_hub_download

    for name in shards["grpo"]:
        if name != "README.md":  # nobody but us wants it
            path = Path(hf_hub_download("org/grpo", name))
    shutil.rmtree(path.parents[2] / "trees", ignore_errors=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert cached("grpo") == {n: b for n, b in shards["grpo"].items() if n != "README.md"}
    shard = path.parent / weights(shards["grpo"])[0]
    shard.write_bytes(bytes(len(shard.read_bytes())))
    with pytest.raises(Damaged, match="The Hub's cache is damaged") as caught:
        cached("grpo")
    assert shard.name in str(caught.value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert cached("grpo") == shards["grpo"]


@over_http
def test_a_cache_that_cannot_be_written_to_is_enough(hub: Hub, shards, counted, monkeypatch):
    from huggingface_hub import constants

    with tempfile.TemporaryDirectory() as home:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{home}/hub")
        fetch_model(HubReference("org/grpo"))
        for notes in Path(home).rglob("rvec-hashes"):
            shutil.rmtree(notes)
        for path in (Path(home), *Path(home).rglob("*")):
            if not path.is_symlink():
                path.chmod(0o555 if path.is_dir() else 0o444)
        root = os.geteuid() == 0
        for offline in (False, True):
            counted.clear()
            as_in_another_process()
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
            try:
                if root:  # who may write everywhere
                    os.seteuid(65534)
                assert cached("grpo") == shards["grpo"]
            finally:
                if root:
                    os.seteuid(0)
            assert len(counted) == len(shards["grpo"])
        for path in Path(home).rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755)
