"""A folder that is being written, and struck, moved, cleared or replaced: old or new is there."""

import signal
import subprocess
import sys

import pytest

from rvec_merge.errors import OutputError
from rvec_merge.files import work_folder
from rvec_merge.files.atomic import new_folder
from tests.files.test_atomic import leftovers, put

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
