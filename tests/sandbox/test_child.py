"""A program and its tests, which call its functions and share nothing but plain data."""

import os
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from rvec_merge.sandbox.child import pack, unpack
from rvec_merge.sandbox.run import run_program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX process limits")


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
