"""Outputs are complete or absent, and nobody else's folder is touched."""

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from rvec_merge.errors import OutputError
from rvec_merge.files import work_folder
from rvec_merge.files.atomic import check_space, new_folder


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_folder_appears_when_the_body_ends(tmp_path):
    out = tmp_path / "deep" / "out"
    with new_folder(out) as work:
        (work / "file").write_text("x")
        assert not out.exists()
        assert work.resolve().is_relative_to(out.parent)
    assert [path.name for path in out.iterdir()] == ["file"]
    assert leftovers(out.parent) == []


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_nothing_is_left_when_the_body_fails(tmp_path, error):
    def fail():
        with new_folder(tmp_path / "out") as work:
            (work / "file").write_text("x")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_as_such(tmp_path):
    with pytest.raises(OutputError, match="disk is full"), new_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_errors_about_something_else_pass(tmp_path):
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "out") as work:
        (work / "missing").read_text()


def test_an_existing_output_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists"), new_folder(tmp_path / "out"):
        pytest.fail("entered")


@pytest.mark.parametrize("exchange", [True, False])
def test_overwriting_replaces_an_earlier_output(tmp_path, monkeypatch, exchange):
    if not exchange:  # as on a disk without renameat2's exchange
        monkeypatch.setattr(work_folder, "_exchange", lambda *places: False)
    out = tmp_path / "out"
    with new_folder(out) as work:
        (work / "rvec_merge.json").write_text("old")
        (work / "vocab.json").write_text("old")
    with new_folder(out, overwrite=True) as work:
        (work / "rvec_merge.json").write_text("new")
        assert (out / "rvec_merge.json").read_text() == "old"
    assert {path.name: path.read_text() for path in out.iterdir()} == {"rvec_merge.json": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_overwrite_keeps_the_old_output(tmp_path):
    out = tmp_path / "out"
    with new_folder(out) as work:
        (work / "rvec_merge.json").write_text("old")
    with pytest.raises(ValueError, match="no"), new_folder(out, overwrite=True):
        raise ValueError("no")
    assert (out / "rvec_merge.json").read_text() == "old"


def test_overwriting_spares_what_is_no_output(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "thesis")
    for name in ("thesis", "file", "link"):
        with (
            pytest.raises(OutputError, match="no earlier output"),
            new_folder(tmp_path / name, overwrite=True),
        ):
            pytest.fail("entered")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "x"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("where", ["model", "model/out", "link", "./model/../model", "."])
def test_inputs_are_no_outputs(tmp_path, monkeypatch, where, overwrite):
    (tmp_path / "model").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    if where == "." and not overwrite:
        pytest.skip("refused because it exists")
    with (
        pytest.raises(OutputError, match=r"one of the inputs|input lies inside"),
        new_folder(where, [tmp_path / "model"], overwrite=overwrite),
    ):
        pytest.fail("entered")
    assert (tmp_path / "model").is_dir()


def test_every_file_has_the_modes_of_the_run(tmp_path):
    before = os.umask(0o027)
    try:
        with new_folder(tmp_path / "out") as work:
            for number, mode in enumerate((0o600, 0o644, 0o777)):
                put(work / "deep" / f"{number}", "x")
                (work / "deep" / f"{number}").chmod(mode)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out" / "deep").iterdir()}
    assert modes == {0o640}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


def test_files_that_no_merge_writes_are_listed_and_kept(tmp_path):
    out = tmp_path / "out"
    for name in ("rvec_merge.json", "model-00001-of-00002.safetensors", ".eval_results/a.yaml"):
        put(out / name, "old")
    put(out / "notes" / "today.txt", "years of work")
    (out / "tokenizer").symlink_to(tmp_path)
    with pytest.raises(OutputError) as refusal, new_folder(out, overwrite=True):
        pytest.fail("entered")
    assert refusal.value.facts == (f"{out}", "notes/today.txt", "tokenizer")
    (out / "tokenizer").unlink()
    (out / "notes").rename(tmp_path / "notes")
    with pytest.raises(OutputError, match="today"), new_folder(out, overwrite=True):
        (tmp_path / "notes").rename(out / "notes")
    assert (out / "notes" / "today.txt").read_text() == "years of work"


def test_an_output_that_appears_meanwhile_is_not_replaced(tmp_path):
    def race():
        with new_folder(tmp_path / "out"), new_folder(tmp_path / "out") as second:
            (second / "config.json").write_text("second")

    with pytest.raises(OutputError, match="appeared"):
        race()
    assert (tmp_path / "out" / "config.json").read_text() == "second"
    assert leftovers(tmp_path) == []


def test_a_read_only_parent_is_told(tmp_path):
    if os.geteuid() == 0:
        target = Path("/proc/rvec-out")  # root may write anywhere but here
    else:
        target = tmp_path / "ro" / "out"
        target.parent.mkdir(mode=0o555)
    with pytest.raises(OutputError, match="cannot be written"), new_folder(target):
        pytest.fail("entered")


def test_space_is_checked_where_the_folder_will_be(tmp_path):
    check_space(tmp_path / "not" / "yet" / "out", 1)
    with pytest.raises(OutputError, match="no room"):
        check_space(tmp_path / "not" / "yet" / "out", 1 << 60)


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        made = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if made.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_leaves_nothing(small_disk):
    with pytest.raises(OutputError, match="disk is full"), new_folder(small_disk / "out") as work:
        (work / "weights").write_bytes(bytes(2_000_000))
    assert list(small_disk.iterdir()) == []


def test_what_appeared_meanwhile_is_not_overwritten(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="no earlier output"), new_folder(out, overwrite=True):
        put(out / "thesis.txt", "years of work")
    assert (out / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_loop_of_links_is_no_output(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "out")
    with pytest.raises(OutputError), new_folder(tmp_path / "out"):
        pytest.fail("entered")
