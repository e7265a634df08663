"""Download files of a commit into the Hub's cache, and hold them to the hashes it states."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from rvec_merge.hub.errors import HubError, explained
from rvec_merge.hub.references import HubReference
from rvec_merge.hub.snapshot import RemoteFile, Snapshot, cached_file, client

_CHUNK = 1 << 22  # bytes


def fetch_files(snapshot: Snapshot, names: Iterable[str]) -> Path:
    """The folder of the cache that holds these files of a snapshot; downloads what is missing.

    Each download is compared with the size and hash that the repo's listing states; one that
    differs is deleted from the cache.

    Raises:
        HubError: a download fails or is damaged. Finished files stay, so that a rerun goes on.
    """
    wanted = sorted(set(names))
    reference = snapshot.reference
    new = [name for name in wanted if cached_file(reference, name) is None]
    for name in set(wanted) - set(new):
        path = cached_file(reference, name)
        # A cut file that something else left in the cache.
        if path is not None and path.stat().st_size != snapshot.files[name].size:
            forget(path)
            new.append(name)
    with explained(str(reference)):
        if new:
            # Square brackets keep the client from reading a name as a pattern.
            patterns = [name.translate(_LITERAL) for name in wanted]
            client().snapshot_download(
                reference.repo_id, revision=reference.revision, allow_patterns=patterns
            )
    for name in new:
        path = cached_file(reference, name)
        if path is None:
            raise HubError("The Hub did not send a file.", [f"{reference}", name], "run it again.")
        check_file(path, snapshot.files[name], reference, name)
    folder = cached_file(reference, wanted[0])
    assert folder is not None
    return folder.parents[wanted[0].count("/")]


def check_file(path: Path, stated: RemoteFile, reference: HubReference, name: str) -> None:
    """Compare a download with what the listing states; delete it if it differs.

    Raises:
        HubError: it differs.
    """
    size = path.stat().st_size
    if size == stated.size and _digest(path, stated) == (stated.sha256 or stated.blob):
        return
    forget(path)
    fact = f"{size} bytes of {stated.size}" if size != stated.size else "its hash differs"
    raise HubError(
        "A download is damaged, and was deleted.",
        [f"{reference}", f"{name}: {fact}"],
        "run it again; finished files are kept.",
    )


def forget(path: Path) -> None:
    """Remove a file of the cache, and the blob it links to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _digest(path: Path, stated: RemoteFile) -> str:
    digest = hashlib.sha256() if stated.sha256 else hashlib.sha1(b"blob %d\0" % stated.size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_LITERAL = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})
