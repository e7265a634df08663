"""Whole processes, measured from outside: wall and processor time, peak anonymous memory."""

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.02  # seconds between looks at the memory


@dataclass(frozen=True)
class Measured:
    """One run. Units: seconds; bytes of anonymous memory (what is not a file's pages).

    Attributes:
        said: what it printed.
    """

    wall: float
    cpu: float
    memory: int
    said: str


def measure(command: Sequence[str | Path], *, out: Path | None = None) -> Measured:
    """Run a command to its end; raises with its output if it fails.

    Args:
        out: what it writes; deleted before and, unmeasured, afterwards.
    """
    if out is not None:
        shutil.rmtree(out, ignore_errors=True)
    before, peak = os.times(), 0
    with (
        tempfile.TemporaryFile("w+", errors="replace") as stdout,
        tempfile.TemporaryFile("w+", errors="replace") as stderr,
    ):
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        while process.poll() is None:
            peak = max(peak, _anonymous(process.pid))
            time.sleep(_EVERY)
        wall = time.perf_counter() - start
        for file in (stdout, stderr):
            file.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{stderr.read()[-4000:]}")
        said = stdout.read()
    after = os.times()
    if out is not None:
        shutil.rmtree(out, ignore_errors=True)
    return Measured(wall, sum(after[2:4]) - sum(before[2:4]), peak, said)


def interleave(
    commands: Mapping[str, Sequence[str | Path]], runs: int, *, out: Path | None = None
) -> dict[str, list[Measured]]:
    """Run each command in turn, ``runs`` times, so that a drifting machine is fair to all."""
    found: dict[str, list[Measured]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            found[name].append(measure(command, out=out))
    return found


def ratios(a: Sequence[Measured], b: Sequence[Measured], figure: str) -> str:
    """Pair by pair ``a / b`` of one figure: ``median (min–max)``."""
    return spread([getattr(x, figure) / getattr(y, figure) for x, y in zip(a, b, strict=True)])


def spread(values: Sequence[float]) -> str:
    """``median (min–max)``."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def machine() -> str:
    """The machine in a line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, load {load:.1f} at the start"


def _anonymous(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("RssAnon")), "0 0")
    return 1024 * int(line.split()[1])
