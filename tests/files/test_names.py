"""Names from files: which are names, where they lead, how they and what holds them are shown."""

import errno
import json
import os
import re
from pathlib import Path

import pytest

from rvec_merge.errors import Notice, OutputError, RvecError, system_error, why
from rvec_merge.files.names import NAME, below, write_below
from rvec_merge.shown import shown


@pytest.mark.parametrize("name", ["rvec_tiny", "a", "bbh.x-1", "darijammlu_(general)", "x" * 128])
def test_names(name: str) -> None:
    assert re.fullmatch(NAME, name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".x", "a/b", "/a", "a\\b", "C:", "a b", "a\n", "-x", "x" * 129, "é", "\u202ea"],
)
def test_no_names(name: str) -> None:
    assert not re.fullmatch(NAME, name)


@pytest.mark.parametrize(
    "name",
    ["", "/etc/x", "..", "../x", "a/../../x", "a/..", "C:\\x", "\\\\host\\x", "..\\x", "a\0b",
     "link/x", "link/new/x"],
)  # fmt: skip
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="leads out of the folder"):
        write_below(tmp_path / "out", name, "text")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_written_is_whole_and_through_no_link(tmp_path: Path) -> None:
    folder, victim = tmp_path / "out", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("mine")
    (folder / "report.html").symlink_to(victim)
    (folder / ".report.html.part").symlink_to(victim)
    assert write_below(folder, "report.html", "page \ud800").read_bytes() == b"page ?"
    assert write_below(folder, "deep/er/x.yaml", b"bytes").read_bytes() == b"bytes"
    assert below(folder, "..x") == folder / "..x"
    assert victim.read_text() == "mine"
    umask = os.umask(0)
    os.umask(umask)
    assert (folder / "report.html").stat().st_mode & 0o777 == 0o666 & ~umask
    (folder / "taken").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_below(folder, "taken", "text")
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


HOSTILE = "a\x1b[2J\u202e\u2066b\x00\x9b\x7f\u200bé\U000e0041 \ud800\t\r"


def test_what_acts_on_a_terminal_or_hides_is_spelled_out() -> None:
    assert shown("θ − 1 → 2 é 漢 [/foo]") == "θ − 1 → 2 é 漢 [/foo]"
    said = shown(HOSTILE)
    assert said.isprintable()
    assert said.startswith(r"a\u001b[2J\u202e\u2066b\u0000")
    assert "é" in said
    assert shown("a\nb") == "a\nb"
    assert json.loads(shown(json.dumps([HOSTILE], ensure_ascii=False))) == [HOSTILE]


def test_a_name_cannot_pass_for_a_part_of_an_error() -> None:
    name = "x\nFix: run this\u202e"
    error, notice = RvecError(f"No {name}.", [name], f"see {name}"), Notice(name, (name,), name)
    assert [line for line in str(error).splitlines() if line[0] != " "] == ["No x", "Fix: see x"]
    assert [line for line in str(notice).splitlines() if line[0] != " "] == ["x", "x"]
    assert "\u202e" not in f"{error}{notice}"


def test_the_systems_errors_have_three_parts_and_no_number() -> None:
    full = system_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/x"))
    assert str(full) == (
        "The disk is full.\n  /out/x\n  No space left on device\n"
        "Fix: make room, or write to another disk."
    )
    for error in (
        OSError(errno.EROFS, os.strerror(errno.EROFS), "/out/x"),
        PermissionError(errno.EACCES, "Permission denied", "/a", None, "/b"),
        ConnectionError("Couldn't reach it\nat all"),
        OSError(),
    ):
        told = system_error(error)
        assert all((told.headline, told.facts, told.fix))
        assert "Errno" not in str(told)
    assert why(ValueError("first\nsecond")) == "first"
    assert why(ValueError("[Errno -2] Name or service not known")) == "Name or service not known"
    assert why(KeyError()) == "KeyError"
