"""One bar serves a merge's bytes and an experiment's cells; unwanted, it is none."""

from types import SimpleNamespace
from typing import Any

import pytest

from rvec_merge.api.progress import Bar

CELL: Any = SimpleNamespace(condition="target", task="rvec_tiny")


def test_bytes_and_cells(capsys: pytest.CaptureFixture[str]) -> None:
    merging = Bar(True)
    merging.begin(1000)
    merging.advance(1000)
    merging.close()
    assert "100%" in capsys.readouterr().err
    cells = Bar(True)
    cells.start(SimpleNamespace(cells=[CELL, CELL]))  # type: ignore[arg-type]
    cells.begin(CELL)
    cells.done(CELL, None)  # type: ignore[arg-type]
    cells.failed(CELL)
    cells.close()
    assert "target, rvec_tiny: 100%" in capsys.readouterr().err


def test_none_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar(False)
    bar.begin(1000)
    bar.begin(CELL)
    bar.advance(5)
    bar.close()
    assert capsys.readouterr().err == ""
