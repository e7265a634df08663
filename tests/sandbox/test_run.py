"""Generated code: what counts as a pass. What programs must not reach: tests/hostile."""

import os

import pytest

from rvec_merge.sandbox.run import Outcome, isolation, run_program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX process limits")


@pytest.mark.parametrize(
    ("program", "passed"),
    [
        ("assert 1 + 1 == 2", True),
        ("import math, re, typing, collections\nassert math.gcd(4, 6) == 2", True),
        ("if __name__ == '__main__':\n    input()", True),
        ("print('é')", True),
        ("# coding: latin-1\nassert len('é') == 1", True),
        ("assert 1 == 2", False),
        ("this is no Python", False),
        ("'\ud800'", False),
        ("\0", False),
        ("import sys\nsys.exit(0)\nassert False", False),
        ("import os\nos._exit(0)", False),
        ("raise SystemExit(0)", False),
        ("raise KeyboardInterrupt", False),
        ("import atexit, os\natexit.register(os._exit, 0)\nassert False", False),
        ("x = bytearray(3 << 30)", False),
        ("def f(): f()\nf()", False),
        ("import os\nassert os.environ.get('HOME') is None\nassert 'PATH' not in os.environ", True),
        ("import numpy", False),
        ("import os\nassert os.listdir() == []", True),
        ("assert input() == ''", False),
    ],
)  # fmt: skip
def test_what_counts_as_a_pass(program: str, passed: bool) -> None:
    assert run_program(program).passed is passed


def test_an_endless_program_is_ended() -> None:
    assert not run_program("while True: pass", seconds=0.5).passed
    # It would pass, had it not been ended.
    assert not run_program("import time\ntime.sleep(20)", seconds=0.5).passed
    assert run_program("import time\ntime.sleep(0.1)").passed


@pytest.mark.parametrize(
    ("outcome", "still_open"),
    [
        (Outcome(True, True, True), 0),
        (Outcome(True, False, True), 1),
        (Outcome(True, True, False), 3),
        (Outcome(True, False, False), 4),
    ],
)
def test_a_door_that_cannot_be_shut_is_told(
    outcome: Outcome,
    still_open: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As on a kernel without Landlock, or a processor whose calls are not listed."""
    monkeypatch.setattr("rvec_merge.sandbox.run.run_program", lambda *_, **__: outcome)
    assert isolation.__wrapped__() == outcome
    told = [record.message for record in caplog.records if "not shut off" in record.message]
    assert len(told) == (still_open > 0)
    assert all(message.count(";") == still_open - 1 for message in told)
