"""The hub's API under ``/api``: answers in the form that its own client parses."""

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from tests.hub.state import LARGE, Repo

if TYPE_CHECKING:
    from tests.hub.server import Handler

DATE = "2026-01-01T00:00:00.000Z"
XET_TOKENS = {"xet-read-token", "xet-write-token"}


class Api:
    """Mixed into the handler, which sends, reads and refuses."""

    def api(self: "Handler", parts: list[str]) -> None:
        if parts == ["whoami-v2"]:
            return self.answer({"name": "tester", "type": "user"})
        if parts == ["validate-yaml"]:
            self.body()
            return self.answer({"errors": [], "warnings": []})
        if parts[0] == "repos" and self.seen.authorization is None:
            return self.refuse(401, message="Invalid username or password.")
        if parts[0] == "repos" and parts[1] in ("create", "move", "delete"):
            return {"create": self._create, "move": self._move, "delete": self._delete}[parts[1]]()
        if parts == ["models"]:
            return self._search()
        if parts[0] != "models" or len(parts) < 3:
            return self.refuse(404, "EntryNotFound")
        repo_id, what = "/".join(parts[1:3]), parts[3] if len(parts) > 3 else "revision"
        rest = parts[4] if len(parts) > 4 else "main"
        if (new := self.hub.moved.get(repo_id)) is not None:
            return self.moved(repo_id, new)
        if (repo := self.repo(repo_id)) is None:
            return None
        if what in XET_TOKENS and self.hub.xet is not None:
            grant = self.hub.xet.grant()
            names = {"casUrl": "Cas-Url", "accessToken": "Access-Token", "exp": "Token-Expiration"}
            headers = {f"X-Xet-{names[key]}": str(value) for key, value in grant.items()}
            return self.answer(grant, headers=headers)
        writes = {"settings": self._settings, "branch": self._branch, "tag": self._tag}
        if what in writes:
            return writes[what](repo, rest)
        if what == "refs":
            return self._refs(repo)
        if what == "commit":
            return self._commit(repo_id, repo, rest)
        if what == "discussions":
            return self._discussions(repo_id, repo, parts[4:])
        if (sha := repo.resolve(rest)) is None:
            return self.refuse(404, "RevisionNotFound")
        if what == "revision":
            return self._info(repo_id, repo, sha)
        if what == "preupload":
            return self._preupload(repo.commits[sha])
        if what == "tree":
            below = "".join(f"{part}/" for part in parts[5:])
            files = {n: b for n, b in repo.commits[sha].items() if n.startswith(below)}
            if below and not files:
                return self.refuse(404, "EntryNotFound")
            return self._paged([self._entry(name, data) for name, data in files.items()])
        if what == "paths-info":
            wanted = parse_qs(self.body().decode()).get("paths", [])
            files = repo.commits[sha]
            return self.answer([self._entry(name, files[name]) for name in wanted if name in files])
        if what == "commits":
            return self._paged(list(_history(repo, sha)))
        return self.refuse(404, "EntryNotFound")

    def repo(self: "Handler", repo_id: str) -> Repo | None:
        """A repo that whoever asks may see; else it is refused."""
        repo = self.hub.repos.get(repo_id)
        if repo is None or (repo.private and self.seen.authorization is None):
            self.refuse(401 if self.seen.authorization is None else 404, "RepoNotFound")
            return None
        return repo

    def batch(self: "Handler") -> None:
        """Where large files are to be put, as git-lfs asks."""
        objects = []
        for asked in json.loads(self.body())["objects"]:
            entry = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub.objects:
                entry["actions"] = {"upload": {"href": f"{self.hub.cdn}/lfs/{asked['oid']}"}}
            objects.append(entry)
        return self.answer({"transfer": "basic", "objects": objects})

    def _paged(self: "Handler", entries: list[Any]) -> None:
        """Part of a list, and a link to the rest."""
        start = int(self.query.get("cursor", ["0"])[0])
        size = min(self.hub.page, int(self.query.get("limit", [self.hub.page])[0]))
        headers = {}
        if start + size < len(entries):
            kept = {k: v[0] for k, v in self.query.items() if k != "cursor"}
            query = "&".join(
                f"{k}={quote(str(v))}" for k, v in {**kept, "cursor": start + size}.items()
            )
            path = self.path.partition("?")[0]
            headers["Link"] = f'<{self.hub.endpoint}{path}?{query}>; rel="next"'
        self.answer(entries[start : start + size], headers=headers)

    def _create(self: "Handler") -> None:
        asked = json.loads(self.body())
        repo_id = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        known = repo_id in self.hub.repos
        if not known:
            repo = self.hub.repos[repo_id] = Repo(private=asked.get("visibility") == "private")
            repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"}, title="initial commit")
        url = {"url": f"{self.hub.endpoint}/{repo_id}"}
        return self.answer(url, 409 if known else 200)

    def _move(self: "Handler") -> None:
        asked = json.loads(self.body())
        if asked["toRepo"] in self.hub.repos:
            return self.refuse(409, message="exists")
        self.hub.repos[asked["toRepo"]] = self.hub.repos.pop(asked["fromRepo"])
        self.hub.moved[asked["fromRepo"]] = asked["toRepo"]
        return self.answer({})

    def _delete(self: "Handler") -> None:
        asked = json.loads(self.body())
        repo_id = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        if self.hub.repos.pop(repo_id, None) is None:
            return self.refuse(404, "RepoNotFound")
        return self.answer({})

    def _settings(self: "Handler", repo: Repo, _: str) -> None:
        asked = json.loads(self.body())
        if "visibility" in asked:
            repo.private = asked["visibility"] == "private"
        if "gated" in asked:
            repo.gated = bool(asked["gated"])
        return self.answer({"private": repo.private, "gated": repo.gated})

    def _search(self: "Handler") -> None:
        wanted, found = set(self.query.get("filter", [])), []
        for repo_id, repo in self.hub.repos.items():
            card = repo.commits[repo.branches["main"]].get("README.md", b"").decode()
            tags = re.findall(r"^- (\S+)$", card, re.MULTILINE)
            if wanted <= set(tags) and not repo.private:
                found.append({"id": repo_id, "modelId": repo_id, "tags": tags, "downloads": 3})
        return self._paged(found)

    def _info(self: "Handler", repo_id: str, repo: Repo, sha: str) -> None:
        files = repo.commits[sha]
        card = files.get("README.md", b"").decode()
        license = re.search(r"^license: (\S+)$", card, re.MULTILINE)
        info = {"id": repo_id, "modelId": repo_id, "sha": sha, "gated": repo.gated}
        info |= {"private": repo.private, "siblings": [{"rfilename": name} for name in files]}
        return self.answer(info | {"cardData": {"license": license[1]} if license else None})

    def _refs(self: "Handler", repo: Repo) -> None:
        def listed(refs: dict[str, str], prefix: str = "") -> list[dict[str, str]]:
            return [{"name": n, "ref": f"{prefix}{n}", "targetCommit": c} for n, c in refs.items()]

        pulls = {n: c for n, c in repo.branches.items() if n.startswith("refs/pr/")}
        branches = {n: c for n, c in repo.branches.items() if n not in pulls}
        told = {"branches": listed(branches, "refs/heads/"), "converts": []}
        told["tags"] = listed(repo.tags, "refs/tags/")
        if "include_prs" in self.query:
            told["pullRequests"] = [
                {**ref, "name": ref["name"].removeprefix("refs/pr/")} for ref in listed(pulls)
            ]
        return self.answer(told)

    def _branch(self: "Handler", repo: Repo, name: str) -> None:
        if self.command == "DELETE":
            return self.answer({}) if repo.branches.pop(name, None) else self.refuse(404)
        start = json.loads(self.body() or b"{}").get("startingPoint", "main")
        if name in repo.branches:
            return self.refuse(409, message="exists")
        if name.startswith("refs/") or (sha := repo.resolve(start)) is None:
            return self.refuse(400, message="Invalid rev id")
        repo.branches[name] = sha
        return self.answer({})

    def _tag(self: "Handler", repo: Repo, name: str) -> None:
        if self.command == "DELETE":
            return self.answer({}) if repo.tags.pop(name, None) else self.refuse(404)
        tag = json.loads(self.body())["tag"]
        if tag in repo.tags:
            return self.refuse(409, message="exists")
        if (sha := repo.resolve(name)) is None:
            return self.refuse(404, "RevisionNotFound")
        repo.tags[tag] = sha
        return self.answer({})

    def _entry(self: "Handler", name: str, data: bytes) -> dict[str, object]:
        entry: dict[str, object] = {"type": "file", "path": name, "size": len(data)}
        entry["oid"] = git_hash(data)
        if name.endswith(LARGE):
            sha = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 134}
            entry["oid"] = git_hash(f"oid sha256:{sha}".encode())  # of the pointer that git holds
            if sha in self.hub.stored:
                entry["xetHash"] = self.hub.stored[sha]
        return entry

    def _preupload(self: "Handler", files: dict[str, bytes]) -> None:
        told = []
        for asked in json.loads(self.body())["files"]:
            name = asked["path"]
            mode = "lfs" if name.endswith(LARGE) else "regular"
            old = files.get(name)
            digest = None
            if old is not None:
                digest = hashlib.sha256(old).hexdigest() if mode == "lfs" else git_hash(old)
            told.append({"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": digest})
        return self.answer({"files": told})

    def _commit(self: "Handler", repo_id: str, repo: Repo, branch: str) -> None:
        lines = [json.loads(line) for line in self.body().splitlines()]
        if branch not in repo.branches:
            return self.refuse(404, "RevisionNotFound")
        files, title = dict(repo.commits[repo.branches[branch]]), ""
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "header":
                title = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if (data := self._object_of(value["oid"])) is None:
                    return self.refuse(400, message="LFS object is missing")
                files[value["path"]] = data
            elif key == "deletedFile":
                del files[value["path"]]
            elif key == "deletedFolder":
                below = f"{value['path'].rstrip('/')}/"
                files = {name: data for name, data in files.items() if not name.startswith(below)}
        number = repo.open_pull(title) if "create_pr" in self.query else None
        sha = repo.commit(files, branch if number is None else f"refs/pr/{number}", title)
        answer = {"commitUrl": f"{self.hub.endpoint}/{repo_id}/commit/{sha}", "commitOid": sha}
        if number is not None:
            answer["pullRequestUrl"] = f"{self.hub.endpoint}/{repo_id}/discussions/{number}"
        return self.answer(answer)

    def _object_of(self: "Handler", oid: str) -> bytes | None:
        """A large file that a client has sent, by whichever way."""
        if oid not in self.hub.objects and self.hub.xet is not None:
            data = self.hub.xet.take(oid)
            if data is not None:
                self.hub.objects[oid] = data
                self.hub.stored[oid] = self.hub.xet.put(data)
        return self.hub.objects.get(oid)

    def _discussions(self: "Handler", repo_id: str, repo: Repo, rest: list[str]) -> None:
        asked = json.loads(self.body() or b"{}")
        if not rest:
            return self.answer({"num": repo.open_pull(asked["title"])})
        pull = repo.pulls.get(int(rest[0]))
        if pull is None:
            return self.refuse(404, "EntryNotFound")
        if rest[1:] == ["status"]:
            pull.status = asked["status"]
        if rest[1:] == ["merge"]:
            files = repo.commits[repo.branches[f"refs/pr/{rest[0]}"]]
            pull.merge_commit, pull.status = repo.commit(files, "main", pull.title), "merged"
        if rest[1:]:
            event = {"id": "1", "type": "status-change", "createdAt": DATE}
            return self.answer({"newStatus": event | {"data": {"status": pull.status}}})
        told = {"num": int(rest[0]), "title": pull.title, "status": pull.status}
        told |= {"createdAt": DATE, "author": {"name": "tester"}, "isPullRequest": True}
        told |= {"repo": {"name": repo_id, "type": "model"}, "events": [], "diff": ""}
        told |= {"filesWithConflicts": []}
        told["changes"] = {"base": "refs/heads/main", "mergeCommitId": pull.merge_commit}
        return self.answer(told)


def _history(repo: Repo, sha: str | None) -> Any:
    while sha is not None:
        parent, title = repo.log[sha]
        authors = [{"user": "tester"}]
        yield {"id": sha, "title": title, "message": "", "authors": authors, "date": DATE}
        sha = parent


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
