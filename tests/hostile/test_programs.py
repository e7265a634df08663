"""What a program that a model wrote may try: forge its verdict, reach out, or leave things behind.

Each attempt is shown to work without the doors, so that it is they which stop it.
"""

import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvec_merge.sandbox import doors
from rvec_merge.sandbox.run import _remove, isolation, run_program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX process limits")

NOBODY = 65534
USER = NOBODY if os.geteuid() == 0 else None  # what programs run as
WRONG = "def f(x): return None\n"
TESTS = "assert f(1) == 2\nassert abs(f(3) - 4) < 1e-9\nassert len(f('a')) == 2"
EVERYWHERE = """
for fd in range(64):
    for text in (b'[true, true, true]', b'["value", 2]\\n', b'["value", [["f"], {}]]\\n'):
        try: os.write(fd, text)
        except OSError: pass
"""
FORGERIES = {
    "says it passed and exits": WRONG + "import os" + EVERYWHERE + "os._exit(0)",
    "says it passed when asked": f"import os\ndef f(x):{EVERYWHERE}".replace("\n", "\n ")
    + "\n os._exit(0)",
    "leaves through the harness's frames": """
import os, sys
frame = sys._getframe()
while frame:
    for name, value in {**frame.f_globals, **frame.f_locals}.items():
        if hasattr(value, "write"):
            try: value.write('["value", 2]\\n'); value.flush()
            except Exception: pass
        if name in ("passed", "ended", "verdict", "token"):
            frame.f_locals[name] = True
    frame = frame.f_back
def f(x): return None
""",
    "changes every object": WRONG
    + """
import gc
for one in gc.get_objects():
    if isinstance(one, dict):
        for key in ("ended", "passed", "abs", "len"):
            if key in one: one[key] = lambda *_: True
""",
    "equals everything": """
class Yes(int):
    __eq__ = __lt__ = __le__ = lambda *_: True
    __sub__ = __abs__ = lambda self, *_: self
    __len__ = lambda self: 2
def f(x): return Yes()
""",
    "brings its own builtins": WRONG
    + """
import builtins
abs = len = builtins.abs = builtins.len = lambda x: 0
""",
    "offers builtins to the tests": """
from sandbox import child
child._inventory = lambda *_: (["abs", "len", "f"], {"abs": 0, "len": 2})
def f(x): return 2
""",
    "exits at the end": WRONG + "import atexit, os\natexit.register(os._exit, 0)",
    "is a debugger": WRONG
    + """
import sys
sys.settrace(lambda *_: None)
sys.excepthook = sys.unraisablehook = lambda *_: None
""",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_verdict_is_not_forged(name: str) -> None:
    assert run_program("def f(x): return 'ab' if x == 'a' else x + 1", TESTS).passed
    assert not run_program(FORGERIES[name], TESTS).passed


def test_the_tests_are_not_to_be_found() -> None:
    find = """
import gc, os
def f():
    needle = "".join(["# needle", "-", "4f1c"])
    found = [one for one in gc.get_objects() if needle in repr(one)]
    for fd in range(64):
        try: found += [one for one in [os.pread(fd, 4096, 0)] if needle.encode() in one]
        except OSError: pass
    return len(found), sorted(os.listdir())
"""
    assert run_program(find, "# needle-4f1c\nassert f() == (0, [])").passed


@pytest.fixture
def shut() -> None:
    if not all(isolation().doors.values()):
        pytest.skip("this system has not all the doors")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file of the user that programs run as, in a folder open to all."""
    tmp_path.chmod(0o777)
    path = tmp_path / "kept"
    path.write_text("here")
    if USER is not None:
        os.chown(path, USER, USER)
    return path


def state(path: Path) -> tuple[object, ...]:
    seen = path.stat()
    names = sorted(entry.name for entry in path.parent.iterdir())
    return path.read_text(), seen.st_mode, seen.st_mtime_ns, os.listxattr(path), names


FILES = {
    "write": "open(KEPT, 'w').write('x')",
    "append": "open(KEPT, 'a').write('x')",
    "truncate": "os.truncate(KEPT, 0)",
    "open to truncate": "os.open(KEPT, os.O_RDONLY | os.O_TRUNC)",
    "chmod": "os.chmod(KEPT, 0)",
    "utime": "os.utime(KEPT, (1, 1))",
    "xattr": "os.setxattr(KEPT, 'user.a', b'b')",
    "remove": "os.remove(KEPT)",
    "rename": "os.rename(KEPT, KEPT + '2')",
    "link": "os.link(KEPT, KEPT + '2')",
    "symlink": "os.symlink(KEPT, KEPT + '2')",
    "folder": "os.mkdir(KEPT + '2', 0)",
    "new file": "open(KEPT + '2', 'x')",
    "fifo": "os.mkfifo(KEPT + '2')",
    "nameless": "os.open(os.path.dirname(KEPT), os.O_TMPFILE | os.O_RDWR)",
    "read": "open(KEPT).read()",
    "list": "os.listdir(os.path.dirname(KEPT))",
}


@pytest.mark.usefixtures("shut")
@pytest.mark.parametrize("name", FILES)
def test_files_of_the_user_are_out_of_reach(name: str, kept: Path) -> None:
    attempt = f"import os\nKEPT = {str(kept)!r}\n{FILES[name]}"
    before = state(kept)
    assert not run_program(attempt).passed
    assert state(kept) == before
    open_ = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True)
    if "not supported" in open_.stderr:
        pytest.skip("this file system knows no such thing")
    assert open_.returncode == 0, open_.stderr


OUT = {
    "tcp": "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)",
    "unix": "import socket\nsocket.socket(socket.AF_UNIX).connect(PATH)",
    "datagram": "import socket\nsocket.socket(type=socket.SOCK_DGRAM)",
    "kill": "import os\nos.kill(PID, 0)",
    "limits": "import os, resource\nresource.prlimit(os.getppid(), 4)",
    "niceness": "import os\nos.setpriority(os.PRIO_PROCESS, PID, 5)",
    "processors": "import os\nos.sched_setaffinity(PID, os.sched_getaffinity(0))",
    "signal by owner": "import fcntl, os\nr, _ = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, PID)",
    "its own signal": "import signal\nsignal.raise_signal(signal.SIGCONT)",
    "shared memory": "import ctypes\nlibc = ctypes.CDLL(None)\nshm = libc.shmget(0, 999, 0o1600)"
    "\nassert shm >= 0\nlibc.shmctl(shm, 0, None)",
    "semaphores": "import ctypes\nlibc = ctypes.CDLL(None)\nsem = libc.semget(0, 1, 0o1600)"
    "\nassert sem >= 0\nlibc.semctl(sem, 0, 0)",
    "memory file": "import os\nos.memfd_create('a')",
    "fork": "import os\nos.fork() or os._exit(0)",
    "thread": "import threading\nthreading.Thread(target=print).start()",
    "program": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)",
    "environment": "import os\nopen(f'/proc/{os.getppid()}/environ').read()",
    "device control": "import fcntl, os\nfcntl.ioctl(os.open(os.__file__, 0), 0x541B, bytes(4))",
}


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Someone listening, and a process of the user that programs run as; their addresses."""
    path = tmp_path_factory.mktemp("neighbours") / "socket"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        subprocess.Popen(["sleep", "600"], user=USER) as victim,
    ):
        unix.bind(str(path))
        unix.listen()
        for open_to_all in (path, *path.parents[:3]):
            open_to_all.chmod(0o777)
        yield f"PORT = {tcp.getsockname()[1]}\nPATH = {str(path)!r}\nPID = {victim.pid}\n"
        assert victim.poll() is None
        victim.kill()


@pytest.mark.usefixtures("shut")
@pytest.mark.parametrize("name", OUT)
def test_nothing_outside_is_reached(name: str, neighbours: str) -> None:
    assert not run_program(neighbours + OUT[name]).passed
    subprocess.run([sys.executable, "-c", neighbours + OUT[name]], check=True)


@pytest.mark.usefixtures("shut")
def test_every_system_call_that_is_not_listed_is_refused() -> None:
    column = doors._MACHINES[os.uname().machine][1]
    names = [*doors._CALLS.split(","), *doors._IF_ARGUMENT]
    allowed = {call.split()[column] for call in names}
    if column == 1:
        allowed |= {"335", "336"}  # uretprobe and uprobe, which the kernel lets pass every filter
    refused = [number for number in range(600) if str(number) not in allowed]
    x32 = [number | 0x40000000 for number in range(600)]  # x86_64's other table
    program = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for number in {refused + x32}:
    ctypes.set_errno(0)
    assert libc.syscall(number, *[ctypes.c_long(-1)] * 6) == -1
    assert ctypes.get_errno() == 1, number
"""
    assert run_program(program).passed


def test_what_is_left_behind_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    many = "for i in range(3000):\n    try: open(str(i), 'x')\n    except OSError: pass\n"
    deep = "import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')"
    assert run_program(many).passed
    assert not run_program(deep, seconds=0.5).passed
    assert not run_program("while True: pass", seconds=0.3).passed
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_read_or_are_too_deep_are_removed(tmp_path: Path) -> None:
    """As a program leaves them where there is no filter of system calls."""
    folder = tmp_path / "left"
    make = "import os, sys\nos.mkdir(sys.argv[1])\nos.chdir(sys.argv[1])\nos.mkdir('closed')\n"
    make += "open('closed/file', 'w')\nos.chmod('closed', 0)\n"
    make += "for _ in range(1100):\n    os.mkdir('deep')\n    os.chdir('deep')\n"
    subprocess.run([sys.executable, "-c", make, folder], check=True)
    _remove(str(folder))
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_overcomes_time_or_memory_ends() -> None:
    for hog in ("x = bytearray(3 << 30)", "x = 'a'\nwhile True: x += x", "while True: pass"):
        assert not run_program(hog, seconds=1).passed
    flood = "def f():\n    return ['x' * 1000] * 10**6"
    assert not run_program(flood, "assert f() == 1", seconds=3).passed
    assert threading.active_count() < 50
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 22


def test_no_process_outlives_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)
            if named.get("start_new_session"):
                started.append(str(self.pid))

    monkeypatch.setattr("rvec_merge.sandbox.run.subprocess.Popen", Recorded)
    sleep = "import time\ntime.sleep(60)"
    assert not run_program(sleep, seconds=0.3).passed
    assert not run_program(
        f"def f():\n    {sleep.replace(chr(10), '; ')}", "f()", seconds=0.3
    ).passed
    assert run_program("def f(): return 1", "assert f() == 1").passed
    sessions = subprocess.check_output(["ps", "-eo", "sess"], text=True).split()
    assert len(started) == 3
    assert not set(started) & set(sessions)
