"""Outputs are complete or absent, and nobody else's folder is touched."""

import errno
import os
import signal
import stat
import subprocess
import sys
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


# Overwrites an output, and is hit by a signal right after its n-th change of the disk.
STRUCK = """
import os, sys
from signal import SIGINT, default_int_handler, signal as handle
from rvec_merge.files import work_folder
from rvec_merge.files.atomic import new_folder

handle(SIGINT, default_int_handler)  # a shell's background job, and its children, ignore it

out, step, signal, exchange = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "True"
if not exchange:
    work_folder._exchange = lambda *places: False
changes = 0

def counted(call):
    def wrapped(*args, **kwargs):
        global changes
        result = call(*args, **kwargs)
        changes += 1
        if changes == step:
            os.kill(os.getpid(), signal)
        return result
    return wrapped

for name in ("mkdir", "rename", "rmdir", "unlink", "fsync"):
    setattr(os, name, counted(getattr(os, name)))
work_folder._exchange = counted(work_folder._exchange)
with new_folder(out, overwrite=True) as work:
    for name in ("rvec_merge.json", "config.json"):
        (work / name).write_text("new")
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("exchange", [True, False])
def test_struck_at_any_moment_the_old_or_the_new_output_is_there(tmp_path, blow, exchange):
    names = ("rvec_merge.json", "config.json")
    out, step, code, gaps = tmp_path / "out", 0, 1, 0
    while code != 0:
        step += 1
        for name in names:
            put(out / name, "old")
        command = [sys.executable, "-c", STRUCK, out, str(step), str(int(blow)), str(exchange)]
        done = subprocess.run(command, capture_output=True, text=True)
        code = done.returncode
        assert code in (0, -blow), done.stderr
        gaps += not out.exists()
        # The next run puts things right, also one that is refused.
        with pytest.raises(OutputError, match="exists"), new_folder(out):
            pytest.fail("entered")
        found = {name: (out / name).read_text() for name in names}
        assert found in (dict.fromkeys(names, "old"), dict.fromkeys(names, "new"))
        assert leftovers(tmp_path) == []
    assert step > 9
    assert gaps == (not exchange and blow == signal.SIGKILL)
    assert (out / "config.json").read_text() == "new"


def test_an_output_that_was_moved_aside_does_not_replace_another(tmp_path, caplog):
    out, home = tmp_path / "out", tmp_path / ".out.rvec-dead"
    put(home / "rvec_unfinished", work_folder._mark(out).decode())
    for name in ("new", "old"):
        put(home / name / "config.json", name)
    put(out / "config.json", "another")
    with pytest.raises(OutputError, match="exists"), new_folder(out):
        pytest.fail("entered")
    assert (out / "config.json").read_text() == "another"
    assert (home / "old" / "config.json").read_text() == "old"
    assert f"{home / 'old'}" in caplog.text


def test_the_mark_alone_makes_a_leftover_ours(tmp_path):
    put(tmp_path / ".out.rvec-notes" / "thesis.txt", "years of work")
    put(tmp_path / ".out.rvec-0123abcd" / "rvec_unfinished", "of another output")
    with new_folder(tmp_path / "out") as alive:
        (alive / "config.json").write_text("first")
        assert len(leftovers(tmp_path)) == 3
        with new_folder(tmp_path / "out", overwrite=True) as second:
            assert alive.is_dir()
            (second / "config.json").write_text("second")
        # The second took the name meanwhile; the first must not destroy it.
        (tmp_path / "out").rename(tmp_path / "second")
    assert (tmp_path / "out" / "config.json").read_text() == "first"
    assert sorted(leftovers(tmp_path)) == [".out.rvec-0123abcd", ".out.rvec-notes"]


def test_a_folder_that_another_run_clears_before_it_is_marked_is_made_anew(tmp_path, monkeypatch):
    lock, out, cleared = work_folder.fcntl.flock, tmp_path / "out", []

    def slow(handle, operation):
        if not cleared:
            cleared.extend(leftovers(tmp_path))
            work_folder.clear_leftovers(out)
            assert leftovers(tmp_path) == []
        lock(handle, operation)

    monkeypatch.setattr(work_folder.fcntl, "flock", slow)
    with new_folder(out) as work:
        (work / "config.json").write_text("x")
    assert len(cleared) == 1
    assert (out / "config.json").read_text() == "x"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("handles", [True, False])
@pytest.mark.parametrize("replaced", ["work", "home", "parent"])
def test_a_folder_that_is_replaced_by_a_link_ends_in_an_error(
    tmp_path, monkeypatch, handles, replaced
):
    if not handles:  # as on a system without paths of open files
        monkeypatch.setattr(work_folder, "_HANDLES", tmp_path / "none")
    victim, out = tmp_path / "victim", tmp_path / "parent" / "out"
    kept = [victim / "config.json", victim / "new" / "config.json"]
    for path in kept:
        put(path, "kept")

    def race():
        with new_folder(out) as work:
            places = {"work": work.resolve(), "home": work.resolve().parent, "parent": out.parent}
            place = places[replaced]
            place.rename(tmp_path / "moved")
            place.symlink_to(victim)
            if handles:
                (work / "config.json").write_text("model")

    with pytest.raises(OutputError, match="was replaced while it was written"):
        race()
    assert [path.read_text() for path in kept] == ["kept", "kept"]
    assert sorted(path.name for path in victim.iterdir()) == ["config.json", "new"]


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
