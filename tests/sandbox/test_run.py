"""Generated code: what counts as a pass. What programs must not reach: tests/hostile."""

import os
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from rvec_merge.sandbox.plain import pack, unpack
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


@pytest.mark.parametrize(
    ("program", "tests", "passed"),
    [
        ("def f(x): return x + 1", "assert f(1) == 2", True),
        ("def f(x): return x + 1", "assert f(x=1) == 3", False),
        ("def f(x): return x", "assert f((1, {2: {3}})) == (1, {2: {3}})", True),
        ("def f(x): return x", "assert f([1]) == (1,)", False),
        ("def f(x): return x * 10**6000", "assert f(3) == 3 * 10**6000", True),
        ("def f(x): return map(abs, x)", "assert tuple(f([-1])) == (1,)", True),
        ("def f(x): return map(abs, x)", "assert f([-1]) == [1]", False),
        ("import re\ndef f(x): return re.match('a', x)", "assert f('a') and not f('b')", True),
        ("import re\ndef f(x): return re.match('a', x)", "assert f('a') == True", False),
        ("import collections\nf = collections.Counter", "assert f('aa') == {'a': 2}", True),
        ("def f(x): raise KeyError(x)",
         "try: f(1)\nexcept LookupError: pass\nelse: assert 0", True),
        ("class Wrong(ValueError): pass\ndef f(x): raise Wrong(x)",
         "try: f(1)\nexcept ValueError: pass\nelse: assert 0", True),
        ("from decimal import Decimal\ndef f(x): return Decimal(x)", "assert f(0.5) == 0.5", True),
        ("from decimal import Decimal\ndef f(x): return Decimal(x)",
         "assert abs(f(0.5) - 0.5) < 1", False),
        ("def f(x): raise SystemExit", "try: f(1)\nexcept: pass", False),
        ("import os\ndef f(x): os._exit(0)", "try: f(1)\nexcept Exception: pass", False),
        ("def f(x): return x", "try: assert f(1) == 2\nfinally: pass", False),
        ("LIMIT = 3\ndef f(x): return LIMIT", "assert f(1) == LIMIT", True),
        ("def g(x): return x", "assert f(1)", False),
        ("def f(x): x.append(1)", "x = []\nf(x)\nassert x == []", True),
    ],
)  # fmt: skip
def test_tests_call_the_programs_functions(program: str, tests: str, passed: bool) -> None:
    assert run_program(program, tests).passed is passed


@pytest.mark.parametrize(
    "value",
    [None, True, -1, 1 << 200, 1.5, float("inf"), "\ud800é", b"\0", 1j, [], [[1], "a"], (1, (2,)),
     {}, {(1, 2): {3, 4}}, {1: 2, None: [3]}, frozenset({1}), Decimal("0.50"), Fraction(1, 3)],
)  # fmt: skip
def test_plain_data_crosses_unchanged(value: Any) -> None:
    crossed = unpack(pack(value))
    assert crossed == value
    assert type(crossed) is type(value)


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
