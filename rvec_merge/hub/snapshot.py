"""A repo at one commit: which files it holds, how large they are, and what they hash to."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rvec_merge import __version__
from rvec_merge.hub.errors import HubError, Unreachable, explained
from rvec_merge.hub.references import HubReference

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MOST_FILES = 10_000
TIMEOUT = 30.0  # seconds without an answer


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repo.

    Attributes:
        size: bytes.
        sha256: of a large file; None for one that git itself holds.
        blob: git's hash of a small file.
    """

    size: int
    sha256: str | None
    blob: str


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
    """The Hub's client, by the settings in the environment."""
    from huggingface_hub import HfApi

    return HfApi(library_name="rvec-merge", library_version=__version__)


def is_offline() -> bool:
    """Whether the user keeps the client from the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def pinned(reference: HubReference) -> HubReference:
    """The reference at its current commit; offline, at the commit that the cache knows.

    Raises:
        HubError: there is no such repo or revision, or no way to learn it.
    """
    if reference.is_pinned:
        return reference
    if is_offline():
        commit = _cached_commit(reference)
        if commit is None:
            raise Unreachable(
                "Offline, and the Hub's cache lacks it.",
                [f"{reference}", "HF_HUB_OFFLINE is set"],
                "run once with HF_HUB_OFFLINE=0, which fills the cache.",
            )
        return reference.at(commit)
    with explained(str(reference)):
        info = client().model_info(reference.repo_id, revision=reference.revision, timeout=TIMEOUT)
        # As the client does where it resolves a branch itself: offline runs read it.
        path = _ref(reference)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(info.sha), "utf-8")
    return reference.at(str(info.sha))


def open_snapshot(reference: HubReference) -> Snapshot:
    """List a repo at its current commit.

    Raises:
        HubError: it cannot be reached, or holds more than ``MOST_FILES`` files.
    """
    from huggingface_hub.hf_api import RepoFile

    found = pinned(reference)
    with explained(str(reference)):
        tree = client().list_repo_tree(found.repo_id, recursive=True, revision=found.revision)
        entries = list(islice(tree, MOST_FILES + 1))
    if len(entries) > MOST_FILES:
        raise HubError(
            "The repo holds too many files.",
            [f"{reference}", f"more than {MOST_FILES:,}"],
            "download what you need of it by hand, if you trust it.",
        )
    files = {
        entry.path: RemoteFile(
            entry.size if entry.lfs is None else entry.lfs.size,
            None if entry.lfs is None else entry.lfs.sha256,
            entry.blob_id,
        )
        for entry in entries
        if isinstance(entry, RepoFile)
    }
    return Snapshot(found, files)


def cached_file(reference: HubReference, name: str) -> Path | None:
    """A file of the Hub's cache; None if it was never fetched."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(reference.repo_id, name, revision=reference.revision)
    return Path(found) if isinstance(found, str) else None


def _cached_commit(reference: HubReference) -> str | None:
    path = _ref(reference)
    return path.read_text("utf-8").strip() if path.is_file() else None


def _ref(reference: HubReference) -> Path:
    """Where the cache keeps the commit of a branch."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=reference.repo_id, repo_type="model")
    return Path(str(constants.HF_HUB_CACHE)) / str(folder) / "refs" / (reference.revision or "main")
