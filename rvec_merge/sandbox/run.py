"""Runs a program that a model wrote, in a fresh interpreter with its doors shut.

A program and its item's tests run in two processes (``child.py``): the program never sees
the tests, and its functions answer them in plain data. Both have a new ``python -I -S`` (no
site-packages) with an empty environment, in an empty temporary folder; limits on processor time
and memory; user nobody if started by root; and where this Linux kernel can, no file to read but
Python's library and no system call that changes, sends or starts anything (``isolation()`` says
which). They are killed after ``SECONDS``.

The opt-in is lm-eval's own: tasks are marked ``unsafe_code``, and nothing runs without
``--confirm_run_unsafe_code``.
"""

import functools
import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rvec_merge.errors import EnvironmentProblem

_log = logging.getLogger(__name__)

SECONDS = 5.0
MEMORY = 1 << 30
_SLACK = 2.0  # seconds after which a judge that did not end by itself is killed
_START = """\
import sys
sys.path.append(sys.argv.pop(1))
from sandbox.child import main
sys.path.pop()
main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:]))
"""
# What generated solutions import; without one of these a score would be wrong in silence.
_PROBE = """\
import bisect, collections, copy, datetime, decimal, fractions, functools, hashlib, heapq, itertools
import math, operator, random, re, statistics, string, typing
"""


@dataclass(frozen=True)
class Outcome:
    """Whether a program passed, and which doors were shut while it ran.

    Attributes:
        passed: the program and its tests ran to their end.
        files_hidden: it could read Python's library alone, and change no file (Landlock).
        calls_filtered: it could do nothing but compute and read (seccomp).
    """

    passed: bool
    files_hidden: bool = False
    calls_filtered: bool = False

    @property
    def doors(self) -> dict[str, bool]:
        """Every way out of the program, by name, and whether it is shut."""
        return {
            "reading the user's files": self.files_hidden,
            "writing, removing or changing files": self.calls_filtered,
            "network and local sockets": self.calls_filtered,
            "other processes, signals and shared memory": self.calls_filtered,
        }


def run_program(
    program: str, tests: str = "", *, seconds: float = SECONDS, memory: int = MEMORY
) -> Outcome:
    """Run a program and then its tests; it passes if both reached their last line.

    The tests call the program's functions from another process: arguments are copies, and results
    count by their data. A result that is no plain data equals nothing.

    Units: ``seconds`` of wall time; ``memory`` in bytes of address space, for each of the two.

    Raises:
        EnvironmentProblem: this system has no POSIX process limits.
    """
    if os.name != "posix":
        raise EnvironmentProblem(
            "Generated code can be run on Linux and macOS only.",
            [f"this system: {sys.platform}"],
            "evaluate code tasks there, or leave them out.",
        )
    text = program.encode(errors="surrogatepass")  # what is no text is no program either
    folder = tempfile.mkdtemp(prefix="rvec-code-")
    os.chmod(folder, 0o755)  # the program becomes nobody when we are root
    here = str(Path(__file__).parent.parent)
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _START, here, *map(str, (seconds, memory, len(text)))],
        cwd=folder,
        env={},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return _verdict(child, text + tests.encode(), seconds + _SLACK)
    finally:
        _kill(child)
        _remove(folder)


def _verdict(child: subprocess.Popen[bytes], text: bytes, seconds: float) -> Outcome:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(text)
        child.stdin.close()
    except BrokenPipeError:
        return Outcome(False)
    ready, _, _ = select.select([child.stdout], [], [], seconds)
    said = os.read(child.stdout.fileno(), 256) if ready else b""
    return Outcome(*json.loads(said)) if said else Outcome(False)


def _kill(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _remove(folder: str) -> None:
    """Remove the folder, whatever a program without a filter left in it: unreadable, or too deep
    for Python's own ``rmtree``.
    """
    try:
        os.rmdir(folder)
    except OSError:
        subprocess.run(["chmod", "-R", "u+rwx", folder], capture_output=True)
        subprocess.run(["rm", "-rf", folder], capture_output=True)


@functools.lru_cache(maxsize=1)
def isolation() -> Outcome:
    """Which doors this machine can shut; warns once about those it cannot.

    Raises:
        EnvironmentProblem: not even Python's own modules load, so no score would mean anything.
    """
    found = run_program(_PROBE, seconds=60.0)
    if not found.passed:
        raise EnvironmentProblem(
            "Programs cannot be run in isolation here.",
            [f"{sys.executable} -I -S did not finish a program of imports"],
            "look for limits on processes or memory of this session, or leave code tasks out.",
        )
    if still_open := [name for name, closed in found.doors.items() if not closed]:
        _log.warning("generated code runs with these not shut off: %s", "; ".join(still_open))
    return found
