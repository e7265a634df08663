"""The listing of a commit: held to its schema, and kept where the Hub's client keeps its own."""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SHA256, _GIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_FORMAT = 1  # of huggingface_hub's trees/<commit>.json


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repo.

    Attributes:
        size: bytes.
        sha256: of a large file; None for one that git itself holds.
        blob: git's hash of a small file.
        xet: the name of its content in Xet storage, which is no hash of its bytes; or None.
    """

    size: int
    sha256: str | None
    blob: str
    xet: str | None = None

    def __post_init__(self) -> None:
        texts = [(_SHA256, self.sha256), (_SHA256, self.xet), (_GIT, self.blob or None)]
        good = all(t is None or (isinstance(t, str) and p.fullmatch(t)) for p, t in texts)
        if not good or type(self.size) is not int or self.size < 0:
            raise ValueError(f"it lists a file as {self}"[:200])


def listed(entries: Iterable[Any]) -> dict[str, RemoteFile]:
    """The files among what the Hub's client lists, by path.

    Raises:
        ValueError: one has no path, size or hash as files have them, or is there twice.
    """
    from huggingface_hub.hf_api import RepoFile

    files: dict[str, RemoteFile] = {}
    for entry in entries:
        if not isinstance(entry, RepoFile):
            continue
        if not isinstance(entry.path, str) or entry.path in files or not entry.blob_id:
            raise ValueError(f"it lists {entry.path!r} twice, or without a hash"[:200])
        size, sha256 = entry.size, None
        if entry.lfs is not None:
            size, sha256 = entry.lfs.size, entry.lfs.sha256
        files[entry.path] = RemoteFile(size, sha256, entry.blob_id, entry.xet_hash)
    return files


def keep(path: Path, files: Mapping[str, RemoteFile]) -> None:
    """Write a listing for offline runs, and for the Hub's client; a cache may be read-only."""
    if recall(path) == files:
        return
    content = {name: _to_json(file) for name, file in sorted(files.items())}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"format_version": _FORMAT, "files": content}, file, indent=1)
        os.replace(name, path)
    except OSError:
        return


def recall(path: Path) -> dict[str, RemoteFile] | None:
    """A listing that was kept, by us or by the Hub's client; None where there is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format_version"] != _FORMAT:
            return None
        return {name: _from_json(entry) for name, entry in content["files"].items()}
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None


def by_links(folder: Path) -> dict[str, RemoteFile]:
    """What a snapshot's links say their files are, where nobody kept a listing.

    The Hub's client names what a link leads to by the hash that the Hub stated: what to compare
    the bytes with, and no more. Files without such a name are left out.
    """
    files = {}
    for path in folder.rglob("*"):
        name = Path(os.readlink(path)).name if path.is_symlink() else ""
        if path.is_file() and (_SHA256.fullmatch(name) or _GIT.fullmatch(name)):
            large = len(name) == 64
            file = RemoteFile(path.stat().st_size, name if large else None, "" if large else name)
            files[path.relative_to(folder).as_posix()] = file
    return files


def _to_json(file: RemoteFile) -> dict[str, Any]:
    entry: dict[str, Any] = {"size": file.size, "blob_id": file.blob}
    if file.sha256 is not None:
        entry |= {"lfs_sha256": file.sha256, "lfs_size": file.size}
    return entry if file.xet is None else {**entry, "xet_hash": file.xet}


def _from_json(entry: Mapping[str, Any]) -> RemoteFile:
    sha256 = entry.get("lfs_sha256")
    size = entry["size"] if sha256 is None else entry["lfs_size"]
    return RemoteFile(size, sha256, entry["blob_id"], entry.get("xet_hash"))
