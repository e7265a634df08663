"""Files of a commit in the Hub's cache: fetched, and held to the hashes that the commit lists."""

import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rvec_merge.files.hashes import hashes
from rvec_merge.hub.bounded import SLOWEST_FILE, at_most
from rvec_merge.hub.errors import OFFLINE, HubError, not_cached
from rvec_merge.hub.explained import explained
from rvec_merge.hub.listing import RemoteFile
from rvec_merge.hub.snapshot import Snapshot, cached_file, client, is_offline

LOG = logging.getLogger(__name__)
_THREADS = 8  # as many as the Hub's client uses


class Damaged(HubError):
    """Bytes are not what the repo's listing states."""


def fetch_files(snapshot: Snapshot, names: Iterable[str]) -> Path:
    """The folder of the cache that holds these files of a snapshot; downloads what is missing.

    No file is used whose bytes were not once compared with the size and hash that the listing
    states, whoever put it into the cache; ``hashes`` remembers. A damaged one that was there before
    is fetched anew; one that arrives damaged is deleted.

    Raises:
        Damaged: downloads differ; all of them are named.
        HubError: a download fails. Finished files stay, so that a rerun goes on.
    """
    wanted = sorted(set(names))
    missing = [name for name in wanted if cached_file(snapshot.reference, name) is None]
    if missing and is_offline():
        raise not_cached(f"{snapshot.reference}", *missing[:5], OFFLINE)
    facts: list[str] = []
    failures: list[HubError] = []
    # Each thread compares what it fetched while the others still fetch: the bytes are in memory.
    pool = ThreadPoolExecutor(min(_THREADS, len(wanted)))
    try:
        for future in [pool.submit(_fetch, snapshot, name) for name in wanted]:
            try:
                facts += filter(None, [future.result()])
            except HubError as error:
                failures.append(error)
    finally:
        pool.shutdown(cancel_futures=True)
    if facts:
        raise damaged([f"{snapshot.reference}", *facts])
    if failures:
        raise failures[0]
    folder = cached_file(snapshot.reference, wanted[0])
    assert folder is not None
    return folder.parents[wanted[0].count("/")]


def _fetch(snapshot: Snapshot, name: str) -> str | None:
    """Bring one file into the cache; what is wrong with it, once it is deleted again."""
    stated = snapshot.files[name]
    path = cached_file(snapshot.reference, name)
    if path is not None:
        found = difference(path, stated)
        if found is None:
            return None
        if is_offline():
            return f"{name}: {found}"  # the only copy: who is online again compares it again
        LOG.warning("%s: %s in the cache is fetched again: %s.", snapshot.reference, name, found)
        forget(path)
    path = download(snapshot, name)
    found = difference(path, stated)
    if found is None:
        return None
    forget(path)
    return f"{name}: {found}"


def download(snapshot: Snapshot, name: str, folder: Path | None = None) -> Path:
    """Fetch one file into the cache, or into ``folder``, and no more of it than is listed.

    Raises:
        HubError: it cannot be had.
    """
    reference, size = snapshot.reference, snapshot.files[name].size
    with explained(f"{reference}: {name}"), at_most(size, SLOWEST_FILE):
        return Path(
            client().hf_hub_download(
                reference.repo_id, name, revision=reference.revision, local_dir=folder
            )
        )


def difference(path: Path, stated: RemoteFile) -> str | None:
    """How a file differs from what the listing states; None if it does not."""
    size = path.stat().st_size
    if size != stated.size:
        return f"{size} bytes of {stated.size}"
    sha256, blob = hashes(path, git=stated.sha256 is None)
    same = sha256 == stated.sha256 if stated.sha256 else blob == stated.blob
    return None if same else "its hash differs"


def damaged(facts: list[str]) -> Damaged:
    """The error for what differs from its listing; ``facts`` name repos and files."""
    if is_offline():
        return Damaged(
            "The Hub's cache is damaged.",
            facts,
            "run once with HF_HUB_OFFLINE=0, which fetches these files again.",
        )
    return Damaged(
        "A download is damaged, and was deleted.",
        facts,
        "run it again; finished files are kept.",
    )


def forget(path: Path) -> None:
    """Remove a file of the cache, and the blob that it links to, by way of others or not.

    Raises:
        HubError: the cache cannot be changed.
    """
    chain = [path]
    while chain[-1].is_symlink():
        chain.append(chain[-1].parent / os.readlink(chain[-1]))
    try:
        for link in chain:
            link.unlink(missing_ok=True)
    except OSError as error:
        raise HubError(
            "A file of the Hub's cache is damaged, and cannot be deleted.",
            [f"{path}", f"{error.strerror}"],
            "delete it, or set HF_HOME to a folder you may write to.",
        ) from None
