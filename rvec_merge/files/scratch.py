"""A folder for one run's passing files, cleared by the next run where a kill left it."""

import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = "rvec-scratch.lock"


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in ``parent`` for the run; those that killed runs left there are removed.

    Each holds a file that its run keeps locked: what has none is not ours, what is locked is alive.
    """
    import fcntl  # here: results are read on Windows too

    for left in parent.glob(f"{glob.escape(prefix)}*/{_LOCK}"):
        with suppress(OSError), left.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with (work / "new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (work / "new").rename(work / _LOCK)  # nobody sees it unlocked
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
