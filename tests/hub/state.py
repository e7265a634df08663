"""What the local hub holds: repos, commits, large objects, the requests it saw, faults to come."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.hub.server import Handler


@dataclass
class Repo:
    """Commits by hash, each a mapping of path to content; branches by name."""

    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        text = repr((sorted((n, hashlib.sha256(b).hexdigest()) for n, b in files.items()), branch))
        sha = hashlib.sha1(f"{self.branches.get(branch)}{text}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha


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

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.token = "hf_" + "t" * 34
        self.lock = Lock()
        self.endpoint = self.cdn = ""

    def put(self, repo_id: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Commit files to a repo, past the API; returns the commit."""
        repo = self.repos.setdefault(repo_id, Repo())
        self.objects |= {hashlib.sha256(b).hexdigest(): b for b in files.values()}
        return repo.commit(files, branch)

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
