"""A hub on loopback: the endpoints that the real client uses, a store, and faults on demand.

Two ports: the hub, and the host that large files are redirected to, which must never see a token.
What it cannot stand in for is the Xet service; the client is told not to use that.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.state import Fault, Hub, Repo, Request

LARGE = (".safetensors", ".gz")  # what the hub keeps as LFS objects
RESOLVE = re.compile(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)")
REFS = re.compile(r"/api/models/([^/]+/[^/]+)/refs")
MODEL = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree|preupload|commit|branch)/(.+))?")
BATCH = re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    role: str

    def log_message(self, *arguments: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _serve(self) -> None:
        url = urlsplit(self.path)
        self.plain, self.query = unquote(url.path), parse_qs(url.query)
        authorization = self.headers.get("Authorization")
        self.seen = Request(
            self.role, self.command, self.plain, authorization, self.headers.get("Range")
        )
        with self.hub.lock:
            self.hub.requests.append(self.seen)
            fault = next((f for f in self.hub.faults if self._hit(f)), None)
            if fault is not None:
                fault.times -= 1
        if fault is not None and fault.do(self):
            return None
        if self.role == "cdn":
            return self._object()
        if authorization not in (None, f"Bearer {self.hub.token}"):
            return self.refuse(401, message="Invalid credentials in Authorization header")
        return self._route()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _hit(self, fault: Fault) -> bool:
        named = fault.times > 0 and fault.method in ("*", self.command)
        return bool(named and re.search(fault.path, f"{self.role}:{self.plain}"))

    def _route(self) -> None:
        if self.plain == "/api/whoami-v2":
            return self.answer({"name": "tester", "type": "user"})
        if self.plain == "/api/validate-yaml":
            self.body()
            return self.answer({"errors": [], "warnings": []})
        if self.plain == "/api/repos/create":
            return self._create()
        if self.plain == "/api/repos/delete":
            return self._delete()
        if self.plain == "/api/models":
            return self._search()
        if match := BATCH.fullmatch(self.plain):
            return self._batch()
        if match := RESOLVE.fullmatch(self.plain):
            return self._resolve(*match.groups())
        if match := REFS.fullmatch(self.plain):
            return self._refs(match[1])
        if match := MODEL.fullmatch(self.plain):
            return self._model(*match.groups())
        return self.refuse(404, "EntryNotFound")

    def _create(self) -> None:
        asked = json.loads(self.body())
        repo_id = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        if self.seen.authorization is None:
            return self.refuse(401, message="Invalid username or password.")
        known = repo_id in self.hub.repos
        if not known:
            repo = self.hub.repos[repo_id] = Repo(private=asked.get("visibility") == "private")
            repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        url = {"url": f"{self.hub.endpoint}/{repo_id}"}
        return self.answer(url, 409 if known else 200)

    def _delete(self) -> None:
        asked = json.loads(self.body())
        del self.hub.repos[f"{asked.get('organization') or 'tester'}/{asked['name']}"]
        return self.answer({})

    def _search(self) -> None:
        wanted, found = set(self.query.get("filter", [])), []
        for repo_id, repo in self.hub.repos.items():
            card = repo.commits[repo.branches["main"]].get("README.md", b"").decode()
            tags = re.findall(r"^- (\S+)$", card, re.MULTILINE)
            if wanted <= set(tags) and not repo.private:
                found.append({"id": repo_id, "modelId": repo_id, "tags": tags, "downloads": 3})
        return self.answer(found)

    def _repo(self, repo_id: str) -> Repo | None:
        repo = self.hub.repos.get(repo_id)
        if repo is None or (repo.private and self.seen.authorization is None):
            self.refuse(401 if self.seen.authorization is None else 404, "RepoNotFound")
            return None
        return repo

    def _model(self, repo_id: str, what: str | None, rest: str | None) -> None:
        if (repo := self._repo(repo_id)) is None:
            return None
        if what == "branch":
            if rest in repo.branches:
                return self.refuse(409, message="exists")
            self.body()
            repo.branches[str(rest)] = repo.branches["main"]
            return self.answer({})
        if what == "preupload":
            return self._preupload(repo.commits[repo.branches[str(rest)]])
        if what == "commit":
            return self._commit(repo_id, repo, str(rest))
        if what == "tree" and "/" in str(rest):
            return self.refuse(404, "EntryNotFound")  # no folder is asked for that is there
        sha = repo.branches.get(rest or "main", rest or "")
        if sha not in repo.commits:
            return self.refuse(404, "RevisionNotFound")
        if what == "tree":
            return self._tree(repo.commits[sha])
        files = repo.commits[sha]
        card = files.get("README.md", b"").decode()
        license = re.search(r"^license: (\S+)$", card, re.MULTILINE)
        info = {"id": repo_id, "modelId": repo_id, "sha": sha, "private": repo.private}
        info |= {"siblings": [{"rfilename": name} for name in files]}
        return self.answer(info | {"cardData": {"license": license[1]} if license else None})

    def _refs(self, repo_id: str) -> None:
        if (repo := self._repo(repo_id)) is None:
            return None
        heads = {n: sha for n, sha in repo.branches.items() if not n.startswith("refs/")}
        branches = [
            {"name": n, "ref": f"refs/heads/{n}", "targetCommit": s} for n, s in heads.items()
        ]
        return self.answer({"branches": branches, "converts": [], "tags": []})

    def _tree(self, files: dict[str, bytes]) -> None:
        entries = []
        for name, data in files.items():
            entry: dict[str, object] = {"type": "file", "path": name, "size": len(data)}
            entry["oid"] = git_hash(data)
            if name.endswith(LARGE):
                sha = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 134}
            entries.append(entry)
        return self.answer(entries)

    def _preupload(self, files: dict[str, bytes]) -> None:
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

    def _batch(self) -> None:
        objects = []
        for asked in json.loads(self.body())["objects"]:
            entry = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub.objects:
                entry["actions"] = {"upload": {"href": f"{self.hub.cdn}/lfs/{asked['oid']}"}}
            objects.append(entry)
        return self.answer({"transfer": "basic", "objects": objects})

    def _commit(self, repo_id: str, repo: Repo, branch: str) -> None:
        as_pr = "create_pr" in self.query
        files = dict(repo.commits[repo.branches[branch]])
        for line in self.body().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    return self.refuse(400, message="LFS object is missing")
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files, "refs/pr/1" if as_pr else branch)
        answer = {"commitUrl": f"{self.hub.endpoint}/{repo_id}/commit/{sha}", "commitOid": sha}
        answer["pullRequestUrl"] = f"{self.hub.endpoint}/{repo_id}/discussions/1"
        return self.answer(answer)

    def _resolve(self, repo_id: str, revision: str, name: str) -> None:
        if (repo := self._repo(repo_id)) is None:
            return None
        if repo.gated:
            return self.refuse(403, "GatedRepo")
        sha = repo.branches.get(revision, revision)
        if sha not in repo.commits:
            return self.refuse(404, "RevisionNotFound")
        if name not in repo.commits[sha]:
            return self.refuse(404, "EntryNotFound", extra={"X-Repo-Commit": sha})
        data = repo.commits[sha][name]
        if not name.endswith(LARGE):
            return self.send(data, {"X-Repo-Commit": sha, "ETag": f'"{git_hash(data)}"'})
        oid = hashlib.sha256(data).hexdigest()
        headers = {"X-Repo-Commit": sha, "X-Linked-Etag": f'"{oid}"'}
        headers |= {"X-Linked-Size": str(len(data)), "Location": f"{self.hub.cdn}/lfs/{oid}"}
        return self.send(b"", headers, 302)

    def _object(self) -> None:
        oid = self.plain.rpartition("/")[2]
        if self.command == "PUT":
            data = self.body()
            if hashlib.sha256(data).hexdigest() != oid:
                return self.refuse(400, message="the body is not the object")
            self.hub.objects[oid] = data
            return self.answer({})
        data = self.hub.objects[oid]
        return self.send(data, {"ETag": f'"{oid}"'})

    def body(self) -> bytes:
        """The request's body; empty where the sender has gone."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, value: object, status: int = 200) -> None:
        self.send(json.dumps(value).encode(), {"Content-Type": "application/json"}, status)

    def refuse(
        self, status: int, code: str = "", message: str = "", extra: dict[str, str] | None = None
    ) -> None:
        if self.command in ("POST", "PUT"):
            self.body()
        headers = {"X-Error-Code": code, "X-Error-Message": message, **(extra or {})}
        self.send(b"", {k: v for k, v in headers.items() if v}, status)

    def send(
        self, data: bytes, headers: dict[str, str], status: int = 200, cut: int | None = None
    ) -> None:
        """Answer; honours a range. ``cut``: close the connection after so many bytes of body."""
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span and status == 200:
            low, high = int(span[1]), min(int(span[2] or len(data)), len(data) - 1)
            headers = headers | {"Content-Range": f"bytes {low}-{high}/{len(data)}"}
            data, status = data[low : high + 1], 206
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(data if cut is None else data[:cut])
        self.seen.sent += len(data if cut is None else data[:cut])
        if cut is not None:
            self.close_connection = True


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """Both ports, until the body ends."""
    hub = Hub()
    servers = []
    for role in ("hub", "cdn"):
        kind = type(role, (Handler,), {"hub": hub, "role": role})
        server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        server.daemon_threads = True
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
    hub.endpoint, hub.cdn = (f"http://127.0.0.1:{s.server_address[1]}" for s in servers)
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
