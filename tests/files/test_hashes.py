"""Hashes of files, remembered of the Hub's cache alone, and never for other bytes."""

import hashlib
from pathlib import Path

import pytest

from rvec_merge.files import hashes as room
from rvec_merge.files.hashes import file_sha256, hashes, known_sha256


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the Hub's cache, seen by a process that knows nothing yet."""
    monkeypatch.setattr(room, "_known", {})
    path = tmp_path / "models--org--name" / "snapshots" / "abc" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    return path


def test_the_hash_is_that_of_the_bytes_and_of_the_blob_as_git_has_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"weights")
    blob = hashlib.sha1(b"blob 7\0weights").hexdigest()
    assert hashes(path, git=True) == (hashlib.sha256(b"weights").hexdigest(), blob)
    assert known_sha256(path) is None  # no cache of the Hub's, so that nothing vouches for it


def test_another_process_reads_the_note_and_not_the_bytes(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = file_sha256(cached)
    monkeypatch.setattr(room, "_known", {})
    assert known_sha256(cached) == found


@pytest.mark.parametrize("harm", ["written again", "cut", "another's note"])
def test_a_note_that_does_not_fit_is_none(
    cached: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    file_sha256(cached)
    monkeypatch.setattr(room, "_known", {})
    (note,) = (cached.parents[2] / "rvec-hashes").iterdir()
    if harm == "written again":
        cached.write_bytes(b"Weights")
    elif harm == "cut":
        note.write_text(note.read_text()[:-3])
    else:
        note.write_text(note.read_text().replace(str(cached.stat().st_size), "8", 1))
    assert known_sha256(cached) is None
    assert file_sha256(cached) == hashlib.sha256(cached.read_bytes()).hexdigest()
