"""What an experiment tells while it runs: how far it is, how fast, and how long it will take."""

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rvec_merge.cli import progress
from rvec_merge.cli.console import PlainConsole
from rvec_merge.cli.progress import CellBar, CellLines, Watching
from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.store import CellResult

CELLS = [Cell("rvec_tiny", State("vector", scale)) for scale in (0.25, 0.5, 0.75, 1.0)]


def result(seconds: float | None, tokens: float | None = 20.0) -> CellResult:
    facts = {"means": {"rvec_tiny": {"answer": 0.5}}, "tokens": tokens, "outputs": 30}
    timed = {"seconds": seconds} if seconds else {}
    return CellResult("key", "condition", "rvec_tiny", {**facts, **timed}, Path("cell"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.time)
    return now


def begun(watching: Watching) -> Watching:
    watching.start(SimpleNamespace(cells=CELLS))  # type: ignore[arg-type]
    return watching


def test_one_cell_after_another(clock: Any) -> None:
    watching = begun(Watching())
    watching.begin(CELLS[0])
    clock.time += 50
    watching.done(CELLS[0], result(50))
    assert watching.left == "2 min left"  # three times 50 s


def test_one_call_for_several_cells_is_not_taken_for_the_first_one(clock: Any) -> None:
    watching = begun(Watching())
    watching.begin(CELLS[0])
    clock.time += 200  # for all four, a quarter each
    watching.done(CELLS[0], result(50))
    assert watching.left == "2 min left"


def test_cells_at_work_at_once(clock: Any) -> None:
    watching = begun(Watching())
    for cell in CELLS[:2]:
        watching.begin(cell)
    clock.time += 50
    for cell in CELLS[:2]:
        watching.done(cell, result(50))
    assert watching.left == "50 s left"  # the other two, together


def test_what_was_found_finished_says_nothing_of_the_others(clock: Any) -> None:
    watching = begun(Watching())
    watching.done(CELLS[0], result(1))
    assert watching.left == ""
    watching.begin(CELLS[1])
    clock.time += 30
    watching.done(CELLS[1], result(30))
    assert watching.left == "60 s left"


def test_a_line_has_count_condition_score_and_speed(
    clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = begun(CellLines())
    lines.begin(CELLS[0])
    clock.time += 10
    lines.done(CELLS[0], result(10))
    assert capsys.readouterr().err == (
        "[1/4] target + 0.25 vector, rvec_tiny: answer 0.500, 20 tokens an output, 60 tokens/s, "
        "30 s left\n"
    )
    lines.done(CELLS[1], result(10))
    assert "found finished" in capsys.readouterr().err


@pytest.mark.parametrize("width", [80, 40])
def test_on_a_narrow_terminal_names_are_cut_and_numbers_are_not(clock: Any, width: int) -> None:
    out = io.StringIO()
    console = PlainConsole()
    console.file, console.width, console._force_terminal = out, width, True
    bar = CellBar(console)
    bar.start(SimpleNamespace(cells=CELLS))  # type: ignore[arg-type]
    bar.begin(CELLS[0])
    clock.time += 10
    bar.done(CELLS[0], result(10))
    bar.begin(CELLS[1])
    bar.bar.refresh()
    bar.bar.stop()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    last = [line for line in re.split(r"[\r\n]", plain) if line.strip()][-1]
    assert len(last) <= width
    assert last.startswith("target + 0.5 vect")
    assert "1/4" in last
    assert "30 s left" in last
