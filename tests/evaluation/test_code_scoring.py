"""Generated code: what counts as a pass, and what a program can reach."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rvec_merge.evaluation.code_scoring import (
    complete,
    complete_fenced,
    isolation,
    pass_at_1,
    run_program,
)
from rvec_merge.evaluation.local_data import read_items, sample_data

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX process limits")


@pytest.mark.parametrize(
    ("program", "passed"),
    [
        ("assert 1 + 1 == 2", True),
        ("import math, re, typing, collections\nassert math.gcd(4, 6) == 2", True),
        ("open('inside', 'w').write('x')", True),
        ("if __name__ == '__main__':\n    raise AssertionError", False),
        ("assert 1 == 2", False),
        ("this is no Python", False),
        ("import sys\nsys.exit(0)\nassert False", False),
        ("import os\nos._exit(0)", False),
        ("raise SystemExit(0)", False),
        ("raise KeyboardInterrupt", False),
        ("print('{\"token\": \"\", \"network\": true}')\nraise SystemExit", False),
        ("import os\nfor fd in range(64):\n    try: os.write(fd, b'{}')\n    except OSError: pass\n"
         "raise SystemExit(0)", False),
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


def test_an_endless_program_ends_in_time() -> None:
    start = time.monotonic()
    assert not run_program("while True: pass", seconds=0.5).passed
    assert not run_program("import time\ntime.sleep(60)", seconds=0.5).passed
    assert time.monotonic() - start < 4


def test_processes_are_bounded() -> None:
    if not isolation().processes_closed:
        pytest.skip("root stays root here")
    forked = "import os\ntry:\n    os.fork()\nexcept OSError:\n    pass\nelse:\n    assert False"
    assert run_program(forked).passed
    assert not run_program("import os\nwhile True: os.fork()", seconds=2).passed
    assert not run_program("import threading\nthreading.Thread(target=print).start()").passed


def test_no_network() -> None:
    if not isolation().network_closed:
        pytest.skip("this kernel allows no network namespace")
    listener = __import__("socket").create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    call = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)"
    # The same call gets through from here, so it is the namespace that stops it.
    subprocess.run([sys.executable, "-c", call], check=True)
    assert not run_program(call).passed
    listener.close()


def test_nothing_is_written_or_removed_outside(tmp_path: Path) -> None:
    if not isolation().files_closed:
        pytest.skip("this kernel has no Landlock")
    tmp_path.chmod(0o777)
    kept = tmp_path / "kept"
    kept.write_text("here")
    kept.chmod(0o666)
    assert not run_program(f"open({str(tmp_path / 'new')!r}, 'w')").passed
    assert not run_program(f"import os\nos.remove({str(kept)!r})").passed
    assert not run_program(f"open({str(kept)!r}, 'a').write('x')").passed
    start = f"import subprocess\nsubprocess.run([{sys.executable!r}, '-c', ''])"
    assert not run_program(start).passed
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "here"


def test_no_folder_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run_program("open('f', 'w').write('x')").passed
    assert not run_program("while True: pass", seconds=0.3).passed
    assert list(tmp_path.iterdir()) == []


def test_the_samples_own_solutions_pass_and_broken_ones_fail() -> None:
    for item in read_items(sample_data() / "humaneval" / "test.jsonl"):
        tests = f"{item['test']}\ncheck({item['entry_point']})"
        right = complete([[item["canonical_solution"]]], [item])
        fenced = complete_fenced([[item["canonical_solution"] + "```\nDone."]], [item])
        wrong = complete([["    return None\n"]], [item])
        assert pass_at_1([tests], right) == {"pass@1": 1.0}
        assert fenced == right
        assert pass_at_1([tests], wrong) == {"pass@1": 0.0}


def test_several_programs_are_averaged() -> None:
    assert pass_at_1(["assert x"], [["x = 1", "x = 0"]]) == {"pass@1": 0.5}
