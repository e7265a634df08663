"""What files hash to. Of the Hub's cache it is remembered: no byte there is hashed twice."""

import hashlib
import logging
import os
import tempfile
from pathlib import Path

LOG = logging.getLogger(__name__)
_CHUNK = 1 << 22  # bytes
_NOTES = "rvec-hashes"  # beside a repo's blobs and snapshots; the Hub's client lets it be
_known: dict[tuple[str, str], tuple[str, str]] = {}  # by path and identity, in this process


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes; they are read unless ``known_sha256`` knows it."""
    return known_sha256(path) or hashes(path)[0]


def known_sha256(path: Path) -> str | None:
    """The sha256 that the bytes of a file of the Hub's cache had, if it is unchanged since."""
    found = _recall(path)
    return None if found is None else found[0]


def hashes(path: Path, *, git: bool = False) -> tuple[str, str]:
    """The sha256 of a file's bytes, and where ``git`` asks for it the hash of its blob, or ''.

    What a file of the Hub's cache hashes to is noted beside it, under its inode, and holds as long
    as size and times stay: a crash, a copy or a change leaves no note that fits. Where no note can
    be written, each process hashes anew.
    """
    known = _recall(path)
    if known is not None and (known[1] or not git):
        return known
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % before.st_size)
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            if git:
                blob.update(chunk)
        found = (sha256.hexdigest(), blob.hexdigest() if git else "")
        if _identity(os.fstat(file.fileno())) == _identity(before):
            _note(path, file.fileno(), found)
    return found


def _recall(path: Path) -> tuple[str, str] | None:
    folder = _notes(path)
    if folder is None:
        return None
    try:
        status = path.stat()
        identity = _identity(status)
        if (found := _known.get((str(path), identity))) is not None:
            return found
        noted, sha256, blob, end = (folder / str(status.st_ino)).read_text("ascii").split("\n")
    except (OSError, ValueError):
        return None
    return (sha256, blob) if noted == identity and len(sha256) == 64 and end == "." else None


def _note(path: Path, handle: int, found: tuple[str, str]) -> None:
    folder = _notes(path)
    if folder is None:
        return
    status = os.fstat(handle)
    _known[str(path), _identity(status)] = found
    try:
        os.fsync(handle)  # or a crash could keep the note and lose the bytes
        folder.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write("\n".join([_identity(status), *found, "."]))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, folder / str(status.st_ino))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        LOG.debug("What %s hashes to is not remembered: %s", path, error)


def _identity(status: os.stat_result) -> str:
    """What no write leaves as it was. Not the device: its number may change with a reboot."""
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _notes(path: Path) -> Path | None:
    """Where the hashes of a file's repo are noted; None if it is not in the Hub's cache."""
    for folder in path.parents:
        if folder.name == "snapshots" and folder.parent.name.startswith("models--"):
            return folder.parent / _NOTES
    return None
