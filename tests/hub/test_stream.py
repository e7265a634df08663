"""Extraction from donors on the Hub, shard by shard."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.stream import _Donor, streamed_donors
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.hub.conftest import folder_files, over_http
from tests.hub.state import Hub
from tests.hub.test_remote import sharded

SHARDS = 6


@pytest.fixture
def donors(hub: Hub, triple, tmp_path: Path) -> None:
    """The triple's donors, in shards whose borders differ."""
    for name, shards in (("grpo", SHARDS), ("sft", SHARDS - 1)):
        files = folder_files(triple[name])
        del files["model.safetensors"]
        hub.put(f"org/{name}", files | sharded(triple[name], tmp_path / name, shards))


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[set[str]]:
    """One donor's shards that are on disk, looked at whenever one more is."""
    found: list[set[str]] = []
    take = _Donor.take

    def taken(donor: _Donor, file: str) -> Mapping[str, TensorInfo]:
        tensors = take(donor, file)
        with donor._lock:
            found.append({path.name for path in donor._work.glob("*.safetensors")})
        return tensors

    monkeypatch.setattr(_Donor, "take", taken)
    return found


def test_the_vector_is_the_same_and_two_shards_are_on_disk(
    hub: Hub, triple, donors, tmp_path, on_disk
):
    local, streamed = tmp_path / "local", tmp_path / "streamed"
    extract_compact(open_donors(triple["grpo"], triple["sft"]), local, shard_size=10**9)
    with streamed_donors("org/grpo", "hf://org/sft@main", streamed) as pair:
        head = extract_compact(pair, streamed, shard_size=10**9)
    here = {n: r.sha256 for n, r in open_head(local).tensors.items()}
    assert {name: record.sha256 for name, record in head.tensors.items()} == here
    assert max(map(len, on_disk)) == 2
    assert len(set.union(*on_disk)) == 2 * SHARDS - 1
    assert not list(tmp_path.glob(".*"))
    assert not list((tmp_path / "hf").rglob("*.safetensors"))
    if hub.xet is None:
        fetched = {r.path for r in hub.requests if r.on == "cdn" and r.range is None}
        assert len(fetched) == 2 * SHARDS - 1
    for role, donor in head.donors.items():
        assert donor.reference == f"org/{role}@{hub.repos[f'org/{role}'].branches['main']}"
        assert all(file.sha256 for file in donor.files.values())


def open_head(folder: Path):
    from rvec_merge.vector.format import read_head

    return read_head(folder)


@over_http
def test_shards_are_fetched_once_and_those_of_the_cache_stay(
    hub: Hub, donors, tmp_path: Path, monkeypatch
):
    from huggingface_hub import snapshot_download

    # Of such tiny shards, a second thread can be whole ones ahead, and the first needs one again.
    monkeypatch.setattr("rvec_merge.vector.blocks.WORKERS", 1)
    folder = Path(snapshot_download("org/grpo"))
    before = hub.sent("", "cdn")
    with streamed_donors("org/grpo", "org/sft", tmp_path / "out") as pair:
        extract_compact(pair, tmp_path / "out", shard_size=10**9)
    sft = sum(len(b) for n, b in hub.files("org/sft").items() if n.endswith(".safetensors"))
    # Headers by range request come on top; these tiny shards are smaller than one request. What
    # another tool left in the cache was not compared yet: its headers are asked for as well.
    grpo = sum(len(b) for n, b in hub.files("org/grpo").items() if n.endswith(".safetensors"))
    assert hub.sent("", "cdn") - before == 2 * sft + grpo
    assert len(list(folder.glob("*.safetensors"))) == SHARDS


def test_a_damaged_shard_leaves_nothing(hub: Hub, donors, tmp_path: Path):
    hub.damage(hub.files("org/grpo")["model-00003-of-00006.safetensors"])
    with (
        pytest.raises(HubError, match="damaged"),
        streamed_donors("org/grpo", "org/sft", tmp_path / "out") as pair,
    ):
        extract_compact(pair, tmp_path / "out", shard_size=10**9)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_shard_of_the_cache_is_not_read(hub: Hub, triple, donors, tmp_path: Path):
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download("org/grpo"))
    extract_compact(open_donors(triple["grpo"], triple["sft"]), tmp_path / "v", shard_size=10**9)
    shard = folder / "model-00003-of-00006.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with streamed_donors("org/grpo", "org/sft", tmp_path / "out") as pair:
        head = extract_compact(pair, tmp_path / "out", shard_size=10**9)
    here = {name: record.sha256 for name, record in open_head(tmp_path / "v").tensors.items()}
    assert {name: record.sha256 for name, record in head.tensors.items()} == here
