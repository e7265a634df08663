"""Runs in a fresh ``python -I -S``: shut the doors, run one program, say whether it finished.

Standard library only, and nothing of this package: the interpreter has no site-packages. The first
line of standard input is the token to answer with and the limits; the rest is the program. The
token is written only after the program's last line ran, so neither ``exit(0)`` nor anything printed
counts as a pass.
"""

import ctypes
import json
import os
import resource
import stat
import struct
import sys

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NOBODY = 65534
_PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 8, 38
_CAPABILITY_VERSION_3, _MAY_READ = 0x20080522, 1 << 2  # CAP_DAC_READ_SEARCH
# Landlock's system calls have the same numbers on every architecture.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
# Execute, write and everything that makes or removes names; reading stays allowed.
_LANDLOCK_HANDLED = sum(1 << bit for bit in (0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12))
_LANDLOCK_IN_FOLDER = _LANDLOCK_HANDLED & ~1


def close_network(libc: ctypes.CDLL) -> bool:
    """Move into an empty network namespace, where the kernel lets us."""
    if os.geteuid() == 0:
        return bool(libc.unshare(_CLONE_NEWNET) == 0)
    return bool(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


def drop_root(libc: ctypes.CDLL) -> bool:
    """Become nobody, for root passes by the process limit; say whether we are not root now."""
    if os.geteuid() == 0:
        # Where only root can reach the standard library, the right to read is all that is kept.
        readable = _open_to_all(os.path.dirname(os.path.realpath(os.__file__)))
        libc.prctl(_PR_SET_KEEPCAPS, 0 if readable else 1, 0, 0, 0)
        try:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        except PermissionError:  # a container's root without the right to change its user
            return False
        if not readable:
            header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
            libc.capset(header, struct.pack("=6I", *(2 * [_MAY_READ]), 0, 0, 0, 0))
    return os.geteuid() != 0


def _open_to_all(folder: str) -> bool:
    while folder != os.path.dirname(folder):
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            return False
        folder = os.path.dirname(folder)
    return True


def close_files(libc: ctypes.CDLL) -> bool:
    """Let nothing be written outside the current folder and nothing be executed (Landlock)."""
    if libc.syscall(_LANDLOCK_CREATE, None, 0, 1) < 1:
        return False
    rules = ctypes.create_string_buffer(struct.pack("Q", _LANDLOCK_HANDLED), 8)
    ruleset = libc.syscall(_LANDLOCK_CREATE, rules, ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    beneath = os.open(".", os.O_PATH | os.O_DIRECTORY)
    rule = ctypes.create_string_buffer(struct.pack("=Qi", _LANDLOCK_IN_FOLDER, beneath), 12)
    added = libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0)
    done = added == 0 and libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0
    os.close(beneath)
    os.close(ruleset)
    return bool(done)


def limit(seconds: int, memory: int) -> None:
    """Bound processor time, memory and file size; allow no new process or thread."""
    for name, value in (
        ("RLIMIT_CPU", seconds),
        ("RLIMIT_AS", memory),
        ("RLIMIT_FSIZE", 1 << 20),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", 64),
    ):
        if hasattr(resource, name):
            kind = getattr(resource, name)
            _, most = resource.getrlimit(kind)
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(kind, (value, value))


def main() -> None:
    header, _, program = sys.stdin.buffer.read().partition(b"\n")
    orders = json.loads(header)
    verdict = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    closed = {"network": False, "files": False, "processes": False}
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        closed["network"] = close_network(libc)
        closed["processes"] = drop_root(libc)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        closed["files"] = close_files(libc)
    limit(orders["seconds"], orders["memory"])
    try:
        # This is what the harness was asked for, with an opt-in, in this process and no other.
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    except BaseException:
        os._exit(1)
    os.write(verdict, json.dumps({"token": orders["token"], **closed}).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
