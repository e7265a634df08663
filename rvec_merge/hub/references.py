"""Names of repos on the Hub: ``hf://org/name@revision``, and mergekit's ``org/name@revision``."""

import re
from dataclasses import dataclass
from pathlib import Path

from rvec_merge.hub.errors import HubError

SCHEME = "hf://"
COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*|[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*")


@dataclass(frozen=True)
class HubReference:
    """A repo, and which revision of it; None is its main branch."""

    repo_id: str
    revision: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never moves."""
        return self.revision is not None and COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> "HubReference":
        """The same repo at a commit."""
        return HubReference(self.repo_id, commit)

    def __str__(self) -> str:
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"


def is_hub(text: object) -> bool:
    """Whether a command's argument names a repo on the Hub rather than a path."""
    return str(text).startswith(SCHEME)


def parse_reference(text: str) -> HubReference:
    """Read ``[hf://]REPO_ID[@revision]``.

    Raises:
        HubError: it is no such name.
    """
    reference = try_reference(text.removeprefix(SCHEME))
    if reference is None:
        raise HubError(
            "This is no Hub id.", [text], f"write {SCHEME}org/name, or {SCHEME}org/name@revision."
        )
    return reference


def named_repo(text: str) -> HubReference | None:
    """The repo that a model's name in a recipe means; None for a folder: what exists here is one.

    mergekit, too, takes ``folder@revision`` for the folder.
    """
    here = Path(text).exists() or Path(text.partition("@")[0]).exists()
    return None if here else try_reference(text)


def try_reference(text: str) -> HubReference | None:
    """``org/name[@revision]``; None if it is none."""
    repo_id, at, revision = text.partition("@")
    named = _REPO.fullmatch(repo_id) and ".." not in text and "--" not in repo_id
    if not named or (at and not _REVISION.fullmatch(revision)):
        return None
    return HubReference(repo_id, revision or None)
