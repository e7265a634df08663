"""What the local hub holds: repos, commits, large objects, the requests it saw, faults to come."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from tests.hub.xet import XetStore

if TYPE_CHECKING:
    from tests.hub.server import Handler


LARGE = (".safetensors", ".gz")  # what the hub keeps as LFS objects


@dataclass
class Pull:
    """A pull request; its commits are on ``refs/pr/NUMBER``."""

    title: str
    status: str = "draft"
    merge_commit: str | None = None


@dataclass
class Repo:
    """Commits by hash, each a mapping of path to content; branches, pull requests' among them."""

    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    log: dict[str, tuple[str | None, str]] = field(default_factory=dict)  # parent and title
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main", title: str = "put") -> str:
        text = repr((sorted((n, hashlib.sha256(b).hexdigest()) for n, b in files.items()), branch))
        parent = self.branches.get(branch)
        sha = hashlib.sha1(f"{parent}{text}".encode()).hexdigest()
        self.commits[sha] = files
        self.log[sha] = (parent, title)
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        """The commit of a branch, a tag, or a commit."""
        known = revision if revision in self.commits else None
        return self.branches.get(revision) or self.tags.get(revision) or known

    def open_pull(self, title: str) -> int:
        number = len(self.pulls) + 1
        self.pulls[number] = Pull(title)
        self.branches[f"refs/pr/{number}"] = self.branches["main"]
        return number


@dataclass
class Fault:
    """What goes wrong with requests whose method and path match; ``times`` of them."""

    method: str
    path: str
    do: Callable[["Handler"], bool]  # whether the request is done with
    times: int = 1


@dataclass
class Request:
    """One request as it came in."""

    on: str
    method: str
    path: str
    authorization: str | None
    range: str | None
    sent: int = 0


class Hub:
    """The state that both ports share."""

    def __init__(self, xet: XetStore | None = None) -> None:
        self.xet = xet  # without it, large files are had over HTTP
        self.moved: dict[str, str] = {}  # old names of repos
        self.page = 1000  # entries of a list in one answer
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.stored: dict[str, str] = {}  # Xet hashes by sha256
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.token = "hf_" + "t" * 34
        self.lock = Lock()
        self.endpoint = self.cdn = ""

    def put(self, repo_id: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Commit files to a repo, past the API; returns the commit."""
        repo = self.repos.setdefault(repo_id, Repo())
        self.objects |= {hashlib.sha256(b).hexdigest(): b for b in files.values()}
        if self.xet is not None:
            self.stored |= {
                hashlib.sha256(data).hexdigest(): self.xet.put(data)
                for name, data in files.items()
                if name.endswith(LARGE)
            }
        return repo.commit(files, branch)

    def damage(self, data: bytes) -> None:
        """Let the storage hold other bytes for this file, of the same size; the listing stays."""
        sha256, wrong = hashlib.sha256(data).hexdigest(), bytearray(data)
        wrong[len(wrong) // 2] ^= 1
        self.objects[sha256] = bytes(wrong)
        if self.xet is not None:
            self.stored[sha256] = self.xet.put(bytes(wrong))

    def mend(self) -> None:
        """Let the storage hold what the repos hold."""
        for repo in self.repos.values():
            for files in repo.commits.values():
                self.objects |= {hashlib.sha256(b).hexdigest(): b for b in files.values()}
        if self.xet is not None:
            self.stored = {sha: self.xet.put(self.objects[sha]) for sha in self.stored}

    def files(self, repo_id: str, branch: str = "main") -> dict[str, bytes]:
        """What a branch holds."""
        repo = self.repos[repo_id]
        return repo.commits[repo.branches[branch]]

    def fail(self, method: str, path: str, do: Callable[["Handler"], bool], times: int = 1) -> None:
        """Let the next matching requests go wrong."""
        self.faults.append(Fault(method, path, do, times))

    def sent(self, path: str, on: str = "") -> int:
        """Bytes of bodies sent for paths that match."""
        return sum(r.sent for r in self.requests if re.search(path, r.path) and on in r.on)
