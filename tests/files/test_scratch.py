"""What passing files leave behind."""

import subprocess
import sys
from pathlib import Path

from rvec_merge.files.scratch import scratch

LEAVE = """
import os, sys
from pathlib import Path
from rvec_merge.files.scratch import scratch
with scratch(Path(sys.argv[1]), ".o*t.shards-") as work:
    (work / "shard").write_bytes(b"x")
    print(work, flush=True)
    os.kill(os.getpid(), 9) if sys.argv[2] == "die" else sys.stdin.read()
"""


def test_what_a_killed_run_left_is_cleared_and_what_is_alive_or_not_ours_stays(tmp_path: Path):
    def start(how: str) -> tuple[subprocess.Popen[str], Path]:
        child = subprocess.Popen(
            [sys.executable, "-c", LEAVE, str(tmp_path), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return child, Path(child.stdout.readline().strip())

    notes = tmp_path / ".o*t.shards-notes"
    notes.mkdir()
    dead, left = start("die")
    dead.wait()
    alive, used = start("live")
    try:
        assert not left.exists()
        with scratch(tmp_path, ".o*t.shards-") as work:
            assert work.exists()
            assert used.exists()
        assert not work.exists()
        assert notes.exists()
    finally:
        alive.communicate("")
    assert not used.exists()
