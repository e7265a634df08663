"""Fuzzing guided by coverage, with atheris: ``python -m tests.hostile.guided MINUTES [NAME …]``.

Every target begins with the seeds of the bounded run in ``make test``, and keeps what reached new
code in ``.fuzz/NAME`` for the next time. An input that crashes is left in ``.fuzz``.
"""

import contextlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(".fuzz")
NAMES = ("header", "index", "head", "vector", "block", "yaml", "recipe", "results")
LIMITS = ("-timeout=20", "-rss_limit_mb=3000", "-max_len=16384", "-print_final_stats=1")


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz one target; does not return."""
    import atheris

    with atheris.instrument_imports(include=["rvec_merge", "yaml"]):
        from tests.hostile.targets import REFUSALS, TARGETS
    folder = Path(tempfile.mkdtemp(prefix="rvec-fuzz-"))
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds(folder)):
        (CORPUS / name / f"seed-{number}").write_bytes(seed)

    def one(data: bytes) -> None:
        with contextlib.suppress(*REFUSALS):
            target.read(data, folder)

    atheris.Setup([sys.argv[0], *options, str(CORPUS / name)], one)
    atheris.Fuzz()


def main(minutes: float, names: list[str]) -> int:
    """Fuzz each target for its part of the time; the number of those that crashed."""
    crashed = 0
    for name in names:
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        seconds = max(1, int(minutes * 60 / len(names)))
        prefix = f"-artifact_prefix={CORPUS}/{name}-"
        options = [*LIMITS, f"-max_total_time={seconds}", prefix]
        done = subprocess.run(
            [sys.executable, "-m", "tests.hostile.guided", "--one", name, *options],
            stderr=subprocess.PIPE,
            text=True,
        )
        runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
        crashed += done.returncode != 0
        ended = "0 crashes" if done.returncode == 0 else f"CRASHED: {done.stderr[-2000:]}"
        print(f"{name:8} {int(runs[1]) if runs else 0:>10,} inputs in {seconds} s, {ended}")
    return crashed


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(float(sys.argv[1]), sys.argv[2:] or list(NAMES)))
