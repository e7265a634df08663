"""Whether an answer is the expected one: numbers by value, words as words, else by math-verify.

math-verify is asked in a process of its own. Its own limits are alarms, which work in a main
thread alone and cannot stop a power of whole numbers; and on a slow machine they would turn a right
answer into a wrong one. Here the kernel ends the process after ``SECONDS`` of processor time, and
the item is *not judged*.
"""

import json
import os
import re
import select
import subprocess
import sys
from functools import lru_cache
from threading import Lock

from rvec_merge.answer.find import LONGEST
from rvec_merge.answer.numbers import value

SECONDS = 5  # of processor time, for one comparison
_PATIENCE = 300.0  # seconds of wall time after which a machine is stuck rather than slow
_START = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from rvec_merge.answer.math_child import main
main(int(sys.argv[2]))
"""
_DECORATION = re.compile(
    r"\\(?:left|right|displaystyle|,|!|;|:| )|\\text(?:bf|rm)?(?=\{)|\\mbox(?=\{)"
)
_WORDS = re.compile(r"[\W\d_]*[A-Za-z]{2}[A-Za-z '.-]*\W*|\(?[A-Z]\)?")
_BASE = re.compile(r"(\w+?)_\{?(\d+)\}?")
_UNANSWERABLE = re.compile(
    r"none|unknown|not enough information|insufficient information|"
    r"(?:it )?(?:cannot|can't|can not) be (?:determined|answered|calculated).*",
)


class NotJudged(Exception):
    """math-verify did not end within its limits."""


def same(gold: str, answer: str) -> bool:
    """Whether ``answer`` is ``gold``, as a reader would say.

    Raises:
        NotJudged: it could not be found out within the limits.
    """
    if len(answer) > LONGEST:
        return False
    expected, given = value(gold), value(answer)
    if expected is not None and given is not None:
        return expected == given
    if _words(gold) == _words(answer):
        return True
    if based := _BASE.fullmatch(gold.replace(" ", "")):
        other = _BASE.fullmatch(answer.replace(" ", "").strip("$"))
        return (
            other[0].translate(_BRACES) == based[0].translate(_BRACES)
            if other
            else answer.strip("$ ") == based[1]
        )
    if _is_text(gold):
        return _is_unanswerable(gold) and _is_unanswerable(answer)
    if not re.search(r"[\d\\a-zA-Z]", answer) or _is_text(answer):
        return False
    return _verified(gold, answer)


_BRACES = str.maketrans("", "", "{}")


def _words(text: str) -> str:
    text = _DECORATION.sub("", text)
    return re.sub(r"[\s{}$*]+", "", text).strip(".").casefold().removeprefix("(").removesuffix(")")


def _is_text(text: str) -> bool:
    """Words, not a formula: math-verify multiplies their letters, so that *east* is *seat*."""
    return _WORDS.fullmatch(_DECORATION.sub("", text).translate(_BRACES).strip(" $")) is not None


def _is_unanswerable(text: str) -> bool:
    return _UNANSWERABLE.fullmatch(text.strip(" .*").casefold()) is not None


@lru_cache(maxsize=65536)
def _verified(gold: str, answer: str) -> bool:
    return _CHILD.ask(gold, answer)


class _Child:
    """One process that compares, for all threads; started when first asked, and after a limit."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, gold: str, answer: str) -> bool:
        question = json.dumps([gold, answer]).encode() + b"\n"
        with self._lock:
            child = self._running()
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                child.stdin.write(question)
                child.stdin.flush()
                ready, _, _ = select.select([child.stdout], [], [], _PATIENCE)
                said = child.stdout.readline() if ready else b""
            except BrokenPipeError:
                said = b""
            if said not in (b"1\n", b"0\n"):
                self._end()
                raise NotJudged(answer)
            return said == b"1\n"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid():  # a fork shares no child
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path), str(SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process

    def _end(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self._process = None


_CHILD = _Child()
