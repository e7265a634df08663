"""pass@1 for generated code, each program in a fresh interpreter with its doors shut.

This is no full sandbox. What it does: a new ``python -I -S`` per program (no site-packages) with an
empty environment, in an empty temporary folder, in its own process group that is killed after
``SECONDS``; limits on processor time, memory, file size and new processes; as user nobody if
started by root; with no network and no writing or executing outside its folder where the Linux
kernel allows it (``isolation()`` says so). What it does not: hide files that the user may read, or
withstand a program written to break out or to forge its verdict.

The opt-in is lm-eval's own: tasks are marked ``unsafe_code``, and nothing runs without
``--confirm_run_unsafe_code``.
"""

import functools
import json
import logging
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.errors import EnvironmentProblem

_log = logging.getLogger(__name__)

SECONDS = 5.0
MEMORY = 1 << 30
_CHILD = (Path(__file__).parent / "code_child.py").read_bytes()


@dataclass(frozen=True)
class Outcome:
    """Whether a program ran to its end, and which doors were shut while it ran."""

    passed: bool
    network_closed: bool = False
    files_closed: bool = False
    processes_closed: bool = False


def run_program(program: str, *, seconds: float = SECONDS, memory: int = MEMORY) -> Outcome:
    """Run a program; it passes if its last line was reached without an exception or an exit.

    Units: ``seconds`` of wall time; ``memory`` in bytes of address space.

    Raises:
        EnvironmentProblem: this system has no POSIX process limits.
    """
    if os.name != "posix":
        raise EnvironmentProblem(
            "Generated code can be run on Linux and macOS only.",
            [f"this system: {sys.platform}"],
            "evaluate code tasks there, or leave them out.",
        )
    token = secrets.token_hex(16)
    orders = {"token": token, "seconds": int(seconds) + 1, "memory": memory}
    folder = tempfile.mkdtemp(prefix="rvec-code-")
    # The program becomes nobody when we are root, and must still own its folder.
    os.chmod(folder, 0o777)
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _CHILD],
        cwd=folder,
        env={},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return _verdict(child, f"{json.dumps(orders)}\n{program}".encode(), token, seconds)
    finally:
        _kill(child)
        shutil.rmtree(folder, ignore_errors=True)


def _verdict(child: subprocess.Popen[bytes], text: bytes, token: str, seconds: float) -> Outcome:
    assert child.stdin is not None
    assert child.stdout is not None
    deadline = time.monotonic() + seconds
    try:
        child.stdin.write(text)
        child.stdin.close()
    except BrokenPipeError:
        return Outcome(False)
    ready, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
    # One read of a bounded size: a program that floods the pipe is cut off, not buffered.
    answer = os.read(child.stdout.fileno(), 256) if ready else b""
    try:
        said = json.loads(answer)
        doors = (said["network"], said["files"], said["processes"])
        return Outcome(said["token"] == token, *doors)
    except (ValueError, KeyError, TypeError):
        return Outcome(False)


def _kill(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


@functools.lru_cache(maxsize=1)
def isolation() -> Outcome:
    """Which doors this machine can shut; warns once about those it cannot.

    Raises:
        EnvironmentProblem: not even an empty program runs, so no score would mean anything.
    """
    found = run_program("pass", seconds=60.0)
    if not found.passed:
        raise EnvironmentProblem(
            "Programs cannot be run in isolation here.",
            [f"{sys.executable} -I -S did not finish an empty program"],
            "look for limits on processes or memory of this session, or leave code tasks out.",
        )
    doors = {
        "network": found.network_closed,
        "writing elsewhere": found.files_closed,
        "new processes": found.processes_closed,
    }
    if still_open := [name for name, closed in doors.items() if not closed]:
        _log.warning("generated code runs with these not shut off: %s", ", ".join(still_open))
    return found


def pass_at_1(
    references: Sequence[str], predictions: Sequence[Sequence[str]], **_: Any
) -> dict[str, float]:
    """lm-eval metric: share of one item's programs that pass its tests.

    ``references`` holds the item's tests, ``predictions`` its programs.
    """
    isolation()
    programs = predictions[0]
    passed = [run_program(f"{program}\n{references[0]}\n").passed for program in programs]
    return {"pass@1": sum(passed) / len(passed)}


def complete(resps: Sequence[Sequence[str]], docs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """lm-eval filter: the item's own prompt (never the perturbed one) and what was generated."""
    return [
        [doc["prompt"] + text for text in texts] for texts, doc in zip(resps, docs, strict=True)
    ]


def complete_fenced(
    resps: Sequence[Sequence[str]], docs: Sequence[dict[str, Any]]
) -> list[list[str]]:
    """Like ``complete``, for chat models: what was generated ends at the closing fence."""
    cut = [[text.split("```", 1)[0] for text in texts] for texts in resps]
    return complete(cut, docs)
