"""The doors of one process, shut from inside: root's rights, Landlock, seccomp, limits.

Landlock hides every file but Python's own library. The system-call filter allows what a program
that only computes needs, and nothing else: no file opened for writing, no name, mode or time
changed, no socket, process, signal or shared memory. It is written here because the interpreter
has no site-packages, and because libseccomp is not everywhere; the kernel's part is.
"""

import ctypes
import os
import resource
import stat
import struct
import sys

_NOBODY = 65534
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 8, 22, 38
_CAPABILITY_VERSION_3, _MAY_READ = 0x20080522, 1 << 2  # CAP_DAC_READ_SEARCH

# Landlock's system calls have the same numbers on every architecture.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_SIGNALS = 1 << 1  # a right of scope
# How many rights over files, over TCP ports and of scope each version of Landlock's ABI has.
_RIGHTS = {1: (13, 0, 0), 2: (14, 0, 0), 3: (15, 0, 0), 4: (15, 2, 0), 5: (16, 2, 0), 6: (16, 2, 2)}
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_HARMLESS = ("/usr/share/zoneinfo", "/etc/localtime", "/dev/null", "/dev/urandom")

# By os.uname().machine: the audit architecture, and the column of _CALLS.
_MACHINES = {"x86_64": (0xC000003E, 1), "aarch64": (0xC00000B7, 2), "riscv64": (0xC00000F3, 2)}
# Name, number on x86_64, number in the kernel's generic table; "-" where there is none.
_CALLS = """
    read 0 63, readv 19 65, pread64 17 67, write 1 64, writev 20 66, lseek 8 62, close 3 57,
    stat 4 -, lstat 6 -, fstat 5 80, newfstatat 262 79, statx 332 291, access 21 -,
    faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents 78 -,
    getdents64 217 61, getcwd 79 17, chdir 80 49, mmap 9 222, mprotect 10 226, munmap 11 215,
    mremap 25 216, madvise 28 233, brk 12 214, rt_sigaction 13 134, rt_sigprocmask 14 135,
    rt_sigreturn 15 139, restart_syscall 219 128, sigaltstack 131 132, futex 202 98,
    sched_yield 24 124, nanosleep 35 101, clock_nanosleep 230 115, select 23 -, pselect6 270 72,
    clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169, time 201 -, times 100 153,
    getrusage 98 165, getrandom 318 278, getpid 39 172, getppid 110 173, gettid 186 178,
    getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getgroups 115 158,
    uname 63 160, sched_getaffinity 204 123, wait4 61 260, exit 60 93, exit_group 231 94
"""
# Calls allowed by one argument: name, numbers; which argument, mask, and what may be left of it.
_CHANGES_A_FILE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_IF_ARGUMENT = {
    "open 2 -": (1, _CHANGES_A_FILE, (0,)),
    "openat 257 56": (2, _CHANGES_A_FILE, (0,)),
    "fcntl 72 25": (1, 0xFFFFFFFF, (0, 1, 2, 3, 4, 1030)),  # duplicates and flags; no owner, lock
    "ioctl 16 29": (1, 0xFFFFFFFF, (0x5401, 0x5413, 0x5450, 0x5451)),  # isatty, size, close-on-exec
}
_LOAD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # the refusal is EPERM, a PermissionError
_ARCHITECTURE, _NUMBER, _ARGUMENTS = 4, 0, 16  # offsets in struct seccomp_data


def drop_root() -> None:
    """Become nobody if we are root, for root passes by the limits; needs no right to fail."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # Where only root can reach the standard library, the right to read is all that is kept.
    readable = _open_to_all(os.path.dirname(os.path.realpath(os.__file__)))
    libc.prctl(_PR_SET_KEEPCAPS, 0 if readable else 1, 0, 0, 0)
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except PermissionError:  # a container's root without the right to change its user
        return
    if not readable:
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        libc.capset(header, struct.pack("=6I", *(2 * [_MAY_READ]), 0, 0, 0, 0))


def _open_to_all(folder: str) -> bool:
    while folder != os.path.dirname(folder):
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            return False
        folder = os.path.dirname(folder)
    return True


def shut(seconds: int, memory: int, *, may_kill: int | None = None) -> tuple[bool, bool]:
    """Shut all doors for good; say whether files are hidden and whether calls are filtered.

    Args:
        may_kill: the one process that may still be signalled.
    """
    _limit(seconds, memory)
    if sys.platform != "linux":
        return False, False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody of our user looks into /proc/PID
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return _hide_files(libc, may_kill), _filter_calls(libc, may_kill)


def _hide_files(libc: ctypes.CDLL, may_kill: int | None) -> bool:
    """Let nothing be read but Python's library and the current folder, and nothing be changed.

    Every right that this kernel's Landlock knows is handled: TCP, device controls, abstract
    sockets and signals too, wherever it has them.
    """
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    files, ports, scope = ((1 << count) - 1 for count in _RIGHTS[min(version, max(_RIGHTS))])
    scope &= ~(_SIGNALS if may_kill is not None else 0)
    ruleset = libc.syscall(
        _LANDLOCK_CREATE, struct.pack("=3Q", files, ports, scope), ctypes.c_size_t(24), 0
    )
    if ruleset < 0:
        return False
    own = (*sys.path, os.path.join(sys.base_prefix, "lib"), ".")
    for path in filter(os.path.exists, {*own, *_LIBRARIES, *_HARMLESS}):
        beneath = os.open(path, os.O_PATH)
        allowed = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
        if libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, beneath), 0):
            return False
        os.close(beneath)
    done = libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return bool(done)


def _filter_calls(libc: ctypes.CDLL, may_kill: int | None) -> bool:
    """Refuse every system call that is not listed above (seccomp)."""
    if os.uname().machine not in _MACHINES:
        return False
    architecture, column = _MACHINES[os.uname().machine]
    plain = [call.split()[column] for call in _CALLS.split(",")]
    rules = [(int(number), *rule) for name, rule in _IF_ARGUMENT.items()
             if (number := name.split()[column]) != "-"]  # fmt: skip
    if may_kill is not None:
        rules.append(((62, 129)[column - 1], 0, 0xFFFFFFFF, (may_kill,)))
    refuse, allow = (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)
    lines = [(_LOAD, 0, 0, _ARCHITECTURE), (_JUMP_IF_EQUAL, 1, 0, architecture), refuse]
    lines.append((_LOAD, 0, 0, _NUMBER))
    for number in plain:
        if number != "-":
            lines += [(_JUMP_IF_EQUAL, 0, 1, int(number)), allow]
    for wanted, argument, mask, left in rules:
        lines.append((_JUMP_IF_EQUAL, 0, 3 + 2 * len(left), wanted))
        lines += [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), (_AND, 0, 0, mask)]
        for value in left:
            lines += [(_JUMP_IF_EQUAL, 0, 1, value), allow]
        lines.append(refuse)
    lines.append(refuse)
    text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = struct.pack("HP", len(lines), ctypes.addressof(text))
    return bool(libc.prctl(_PR_SET_SECCOMP, 2, program, 0, 0) == 0)


def _limit(seconds: int, memory: int) -> None:
    """Bound processor time and memory; allow no file to grow, no new process or thread."""
    for name, value in (
        ("RLIMIT_CPU", seconds),
        ("RLIMIT_AS", memory),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", 64),
    ):
        if hasattr(resource, name):
            kind = getattr(resource, name)
            _, most = resource.getrlimit(kind)
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(kind, (value, value))
