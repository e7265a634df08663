"""Output folders that are complete or absent, whatever interrupts the work."""

import ctypes
import errno
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rvec_merge.errors import OutputError

# What a folder must hold to be taken for an earlier output that --overwrite may delete.
_OURS = ("mergekit_config.yml", "rvec_merge.json", "rvec_vector.json", "rvec_extract.json")
_DISK_SAYS_NO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def new_folder(
    out: str | Path, inputs: Sequence[Path] = (), *, overwrite: bool = False
) -> Iterator[Path]:
    """A sibling folder to write into; becomes ``out`` if the body succeeds, else vanishes.

    The sibling is locked while it is written to. A run that was killed leaves it behind, unlocked,
    and the next call for the same ``out`` removes it.

    Args:
        inputs: folders that ``out`` must not be, lie in, or contain.
        overwrite: replace an earlier output in one step; the old one stays until the new one is
            complete.

    Raises:
        OutputError: ``out`` cannot be used, or the disk fills while writing.
    """
    out = Path(os.path.abspath(out))
    check_output(out, inputs, overwrite=overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(out)
        work, lock = _locked_sibling(out)
    except OSError as error:
        raise _cannot_write(out, error) from None
    try:
        yield work
        _sync_all(work)
        if overwrite:
            check_output(out, inputs, overwrite=True)  # what stands there now, hours later
        _publish(work, out, overwrite)
    except OSError as error:
        if error.errno not in _DISK_SAYS_NO:
            raise  # not about the output
        raise _cannot_write(out, error) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)


def check_output(out: Path, inputs: Sequence[Path] = (), *, overwrite: bool = False) -> None:
    """Refuse an output path that exists, or that an input shares.

    Raises:
        OutputError: it does.
    """
    try:
        real = out.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links; RuntimeError before Python 3.13
        raise OutputError(
            "The output cannot be written.", [f"{out}", f"{error}"], "name another folder."
        ) from None
    for folder in inputs:
        known = folder.resolve()
        if real == known or known in real.parents:
            raise OutputError(
                "The output folder is one of the inputs.",
                [f"output: {out}", f"input:  {folder}"],
                "write to a new folder.",
            )
        if real in known.parents and (overwrite and real.exists()):
            raise OutputError(
                "An input lies inside the folder that would be overwritten.",
                [f"output: {out}", f"input:  {folder}"],
                "write to a new folder.",
            )
    if not (out.exists() or out.is_symlink()):
        return
    if not overwrite:
        raise OutputError(
            "The output exists.", [f"{out}"], "name a new folder, or replace it: --overwrite."
        )
    plain = out.is_dir() and not out.is_symlink()
    if not plain or (any(out.iterdir()) and not any((out / name).exists() for name in _OURS)):
        raise OutputError(
            "What stands at the output path is no earlier output.",
            [f"{out}", f"a folder that may be overwritten holds one of {', '.join(_OURS)}"],
            "remove it yourself, or name a new folder.",
        )


def check_space(out: Path, needed: int) -> None:
    """Refuse an output that the disk has no room for.

    Raises:
        OutputError: ``needed`` bytes exceed what is free beside ``out``.
    """
    folder = Path(os.path.abspath(out)).parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            "The disk has no room for the output.",
            [f"needed: {needed / 1e9:.2f} GB", f"free:   {free / 1e9:.2f} GB in {folder}"],
            "make room, or write to another disk.",
        )


def _locked_sibling(out: Path) -> tuple[Path, int]:
    while True:
        work = Path(tempfile.mkdtemp(prefix=_prefix(out), dir=out.parent))
        # Another run's clearing may come before any of these calls.
        try:
            handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        if work.exists():
            work.chmod(0o777 & ~_umask())  # mkdtemp makes it private
            return work, handle
        os.close(handle)


def _clear_leftovers(out: Path) -> None:
    for path in out.parent.iterdir():
        if not path.name.startswith(_prefix(out)):
            continue
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass  # a run that is alive
        finally:
            os.close(handle)


def _publish(work: Path, out: Path, overwrite: bool) -> None:
    if not (overwrite and out.exists()):
        try:
            work.rename(out)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise OutputError(
                "The output appeared while it was being written.",
                [f"{out}"],
                "name another folder for one of the two runs, or replace it: --overwrite.",
            ) from None
    elif not _exchange(work, out):
        aside = work.with_name(work.name + "-old")
        out.rename(aside)
        try:
            work.rename(out)
        except OSError:
            aside.rename(out)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    _sync_folder(out.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two paths in one step; False where the system or the disk cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    args = (_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE)
    if rename(*args) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(code, os.strerror(code), str(b))


def _sync_all(work: Path) -> None:
    for folder, _, names in os.walk(work):
        for name in names:
            handle = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        _sync_folder(Path(folder))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot_write(out: Path, error: OSError) -> OutputError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return OutputError(
        "The disk is full; nothing was left behind." if full else "The output cannot be written.",
        [f"{out}", f"{error}"],
        "make room, or write to another disk." if full else "name a folder you may write to.",
    )


def _prefix(out: Path) -> str:
    return f".{out.name}.rvec-"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
