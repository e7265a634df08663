"""The hidden folder that an output is written into: locked, held open, and marked as ours."""

import ctypes
import errno
import fcntl
import logging
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rvec_merge.errors import OutputError

LOG = logging.getLogger(__name__)
_RENAME_EXCHANGE = 2
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_HANDLES = Path("/proc/self/fd")  # Linux's paths of open files
# In a hidden folder beside the output: the mark that makes it ours to clear, what is being
# written, and, where two folders cannot be exchanged in one step, the output that stood there.
_MARK, _NEW, _OLD = "rvec_unfinished", "new", "old"
_MARK_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True)
class WorkFolder:
    """The hidden folder of one run, and handles of it, of its parent, and of what it writes."""

    out: Path
    name: str
    parent: int
    home: int
    new: int

    @property
    def path(self) -> Path:
        """Where to write."""
        return _through(self.new, self.out.parent / self.name / _NEW)

    def sync(self) -> None:
        """Send all to the disk, with the modes of this run, whoever wrote or copied a file."""
        mode = os.fstat(self.new).st_mode & 0o666  # as the umask, or the parent's ACL, has it
        for _, _, names, folder in os.fwalk(".", dir_fd=self.new):
            for name in names:
                handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
                try:
                    os.fchmod(handle, mode)
                    os.fsync(handle)
                finally:
                    os.close(handle)
            os.fsync(folder)

    def publish(self, overwrite: bool) -> None:
        """Give what was written its name, in the place of what has it now.

        Raises:
            OutputError: the name was taken meanwhile, or this folder was replaced.
        """
        self._check_place()
        home, parent, out = self.home, self.parent, self.out.name
        old = overwrite and self.out.exists()
        if old and _exchange(home, _NEW, parent, out):
            os.fsync(parent)
            return
        try:
            # Interrupted between the two, whoever comes next sees both and puts the old one back.
            if old:
                os.rename(out, _OLD, src_dir_fd=parent, dst_dir_fd=home)
            os.rename(_NEW, out, src_dir_fd=home, dst_dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise OutputError(
                "The output appeared while it was being written.",
                [f"{self.out}"],
                "name another folder for one of the two runs, or replace it: --overwrite.",
            ) from None
        os.fsync(parent)

    def _check_place(self) -> None:
        """Refuse to publish where another folder, or a link, has taken a place."""
        places = (
            (self.parent, self.out.parent, None),
            (self.home, self.name, self.parent),
            (self.new, _NEW, self.home),
        )
        for handle, place, above in places:
            # The parent's path may hold links of the user's own.
            if not _is_at(handle, place, above, follow=above is None):
                raise OutputError(
                    "The folder was replaced while it was written to.",
                    [f"{self.out}", f"{place} is another one now"],
                    "see who else writes there, and run it again.",
                )


@contextmanager
def work_folder(out: Path) -> Iterator[WorkFolder]:
    """A new work folder for ``out``; what is not published vanishes."""
    with ExitStack() as stack:

        def held(path: str | Path, above: int | None = None, flags: int = _FOLDER) -> int:
            handle = os.open(path, flags, dir_fd=above)
            stack.callback(os.close, handle)
            return handle

        parent = held(out.parent, flags=_FOLDER & ~os.O_NOFOLLOW)
        home = None
        while home is None:
            name = f"{_prefix(out)}{secrets.token_hex(4)}"
            os.mkdir(name, 0o700, dir_fd=parent)  # closed to others until it is published
            with suppress(FileNotFoundError):  # while it was empty, another run cleared it
                home = _marked(stack, out, name, parent, held(name, parent))
        os.mkdir(_NEW, dir_fd=home)
        yield WorkFolder(out, name, parent, home, held(_NEW, home))


def _marked(stack: ExitStack, out: Path, name: str, parent: int, home: int) -> int:
    fcntl.flock(home, fcntl.LOCK_EX)
    stack.callback(_settle, out, name, parent, home)
    with open(os.open(_MARK, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=home), "wb") as mark:
        mark.write(_mark(out))
    return home


def clear_leftovers(out: Path) -> None:
    """Settle what dead runs for ``out`` left: empty folders of their name, and marked ones."""
    if not out.parent.is_dir():
        return
    parent = os.open(out.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in os.listdir(parent):
            if name.startswith(_prefix(out)):
                _clear(out, name, parent)
    finally:
        os.close(parent)


def _clear(out: Path, name: str, parent: int) -> None:
    try:
        home = os.open(name, _FOLDER, dir_fd=parent)
    except OSError:
        return
    try:
        fcntl.flock(home, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if re.fullmatch(re.escape(_prefix(out)) + "[0-9a-f]{8}", name) and not os.listdir(home):
            os.rmdir(name, dir_fd=parent)  # killed before it was marked, or after
            return
        with open(os.open(_MARK, _MARK_FLAGS, dir_fd=home), "rb") as mark:
            said = mark.read(4096)
        # Killed while it was marked, the folder holds an empty mark and nothing else.
        ours = said == _mark(out) or (not said and os.listdir(home) == [_MARK])
    except OSError:  # a run that is alive, or no mark
        pass
    else:
        if ours:
            _settle(out, name, parent, home)
    finally:
        os.close(home)


def _settle(out: Path, name: str, parent: int, home: int) -> None:
    """Put back an output that was moved aside and never replaced; remove everything else."""
    here = _through(home, out.parent / name)
    if not _is_at(home, here):
        return  # what stands there now is not ours
    if {_NEW, _OLD} <= set(os.listdir(home)):
        try:
            os.rename(_OLD, out.name, src_dir_fd=home, dst_dir_fd=parent)
        except OSError:
            kept = out.parent / name / _OLD
            LOG.warning("%s was taken; the output that stood there is in %s.", out, kept)
            return
    for child in (_NEW, _OLD):
        shutil.rmtree(here / child, ignore_errors=True)
    if os.listdir(home) in ([_MARK], []):
        (here / _MARK).unlink(missing_ok=True)
        with suppress(OSError):  # moved away, and another took its name
            os.rmdir(name, dir_fd=parent)


def _exchange(a_folder: int, a: str, b_folder: int, b: str) -> bool:
    """Swap two entries of open folders in one step; False where the system or the disk cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(a_folder, os.fsencode(a), b_folder, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(code, os.strerror(code), b)


def _through(handle: int, path: Path) -> Path:
    """A path that leads to an open folder even when it moves, where the system has such paths."""
    held = _HANDLES / str(handle)
    return held if held.is_dir() else path


def _is_at(handle: int, path: str | Path, above: int | None = None, *, follow: bool = True) -> bool:
    try:
        found = os.stat(path, dir_fd=above, follow_symlinks=follow)
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(handle))


def _prefix(out: Path) -> str:
    return f".{out.name}.rvec-"


def _mark(out: Path) -> bytes:
    return b"rvec-merge was writing the folder beside this one: " + os.fsencode(out.name)
