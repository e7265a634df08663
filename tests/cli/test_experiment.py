"""``rvec experiment`` that is interrupted: what is finished stays, and the same command goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from rvec_merge.cli import main; main()"
)  # a shell's background job, and its children, ignore the signal


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    changes = ["--limit=4", "--set=controls={random: 1, permuted: 0}", "--set=perturbations=[]"]
    command = [sys.executable, "-c", PROGRAM, "experiment", "tiny", "-o", str(out), *changes]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}

    def begun() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    process = begun()
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[ 2/"):
            process.send_signal(signal.SIGINT)
            break
    said = process.stderr.read().splitlines()
    assert process.wait() == 130
    kept = f"Finished cells are kept in {out}: the same command goes on from there."
    assert said[-1] == f"Interrupted. {kept}"
    again = begun()
    _, told = again.communicate()
    assert again.returncode == 0, told
    found = [line for line in told.splitlines() if "found finished" in line]
    assert len(found) >= 2
    assert (out / "summary.md").is_file()
