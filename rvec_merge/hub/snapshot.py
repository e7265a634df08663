"""A repo at one commit: which files it holds, how large they are, and what they hash to."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rvec_merge.hub.bounded import guard_client
from rvec_merge.hub.errors import OFFLINE, HubError, Unreachable, not_cached
from rvec_merge.hub.explained import explained
from rvec_merge.hub.listing import RemoteFile, by_links, keep, listed, recall
from rvec_merge.hub.references import COMMIT, HubReference
from rvec_merge.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LOG = logging.getLogger(__name__)
MOST_FILES = 10_000
TIMEOUT = 30.0  # seconds without an answer


@dataclass(frozen=True)
class Snapshot:
    """A repo at one commit.

    Attributes:
        reference: pinned to the commit.
        files: by path; of a repo without folders that is the name.
    """

    reference: HubReference
    files: Mapping[str, RemoteFile]

    @property
    def commit(self) -> str:
        """The commit."""
        assert self.reference.revision is not None
        return self.reference.revision


def client() -> "HfApi":
    """The Hub's client, by the settings in the environment; see ``bounded`` for its limits."""
    from huggingface_hub import HfApi

    guard_client()
    return HfApi(library_name="rvec-merge", library_version=__version__)


def is_offline() -> bool:
    """Whether the user keeps the client from the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@contextmanager
def no_downloads() -> Iterator[None]:
    """Keep mergekit and transformers from the network: they would fetch what nobody compares."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def pinned(reference: HubReference) -> HubReference:
    """The reference at its current commit; offline, at the commit that the cache knows.

    Raises:
        HubError: there is no such repo or revision, or no way to learn it.
    """
    if reference.is_pinned:
        return reference
    if is_offline():
        if not (path := _ref(reference)).is_file():
            raise not_cached(str(reference), OFFLINE)
        return reference.at(path.read_text("utf-8").strip())
    with explained(str(reference)):
        info = client().model_info(reference.repo_id, revision=reference.revision, timeout=TIMEOUT)
        if not isinstance(info.sha, str) or not COMMIT.fullmatch(info.sha):
            raise ValueError("it names no commit")
    try:
        # As the client does where it resolves a branch itself: offline runs read it.
        path = _ref(reference)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(info.sha, "utf-8")
    except OSError as error:
        LOG.debug("The cache cannot be written to: %s", error)
    return reference.at(info.sha)


def open_snapshot(reference: HubReference) -> Snapshot:
    """List a repo at its current commit; offline, or where the Hub is silent, from the cache.

    Raises:
        HubError: it cannot be reached, its listing is malformed, or holds more than ``MOST_FILES``
            files.
    """
    from huggingface_hub import constants

    found = pinned(reference)
    kept = _repo_folder(found) / "trees" / f"{found.revision}.json"
    if is_offline():
        return Snapshot(found, _files_of_cache(found, kept))
    try:
        files = _list(str(constants.ENDPOINT), found)
    except Unreachable as error:
        if not reference.is_pinned:
            raise
        try:
            files = _files_of_cache(found, kept)
        except Unreachable:
            raise error from None
        LOG.warning("%s\nThe copy in the cache is used.", error)
        return Snapshot(found, files)
    keep(kept, files)
    return Snapshot(found, files)


@lru_cache(maxsize=256)
def _list(endpoint: str, found: HubReference) -> dict[str, RemoteFile]:
    """A commit's files; it never changes, so that one process asks once."""
    with explained(str(found)):
        tree = client().list_repo_tree(found.repo_id, recursive=True, revision=found.revision)
        entries = list(islice(tree, MOST_FILES + 1))
        if len(entries) > MOST_FILES:
            raise HubError(
                "The repo holds too many files.",
                [f"{found}", f"more than {MOST_FILES:,}"],
                "download what you need of it by hand, if you trust it.",
            )
        return listed(entries)


def _files_of_cache(found: HubReference, kept: Path) -> dict[str, RemoteFile]:
    files = recall(kept) or by_links(_repo_folder(found) / "snapshots" / str(found.revision))
    if not files:
        raise not_cached(str(found), OFFLINE if is_offline() else "the Hub is silent")
    return files


def cached_file(reference: HubReference, name: str) -> Path | None:
    """A file of the Hub's cache; None if it was never fetched."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(reference.repo_id, name, revision=reference.revision)
    return Path(found) if isinstance(found, str) else None


def _ref(reference: HubReference) -> Path:
    """Where the cache keeps the commit of a branch."""
    return _repo_folder(reference) / "refs" / (reference.revision or "main")


def _repo_folder(reference: HubReference) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=reference.repo_id, repo_type="model")
    return Path(str(constants.HF_HUB_CACHE)) / str(folder)
