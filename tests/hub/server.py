"""A hub on loopback: the endpoints that the real client uses, a store, and faults on demand.

Two ports: the hub, and the host that large files are redirected to, which must never see a token.
With a folder for Xet storage, the client takes that way, which is its default.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.api import Api, git_hash
from tests.hub.state import LARGE, Fault, Hub, Request
from tests.hub.xet import XetStore

BATCH = re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch")


class Handler(Api, BaseHTTPRequestHandler):
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
        self.read = False
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
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
        if parts[0] == "api":
            return self.api(parts[1:])
        if (new := self.hub.moved.get("/".join(parts[:2]))) is not None:
            return self.moved("/".join(parts[:2]), new)
        if BATCH.fullmatch(self.plain):
            return self.batch()
        if parts[0] == "datasets" and len(parts) > 5 and parts[3] == "resolve":
            return self._resolve("/".join(parts[:3]), parts[4], "/".join(parts[5:]))
        if len(parts) > 4 and parts[2] == "resolve":
            return self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        return self.refuse(404, "EntryNotFound")

    def moved(self, old: str, new: str) -> None:
        """Tell where a repo is now, as the hub does of renamed ones."""
        self.body()
        self.send(b"", {"Location": self.path.replace(f"/{old}", f"/{new}", 1)}, 307)

    def _resolve(self, repo_id: str, revision: str, name: str) -> None:
        if (repo := self.repo(repo_id)) is None:
            return None
        if repo.gated:
            return self.refuse(403, "GatedRepo")
        if (sha := repo.resolve(revision)) is None:
            return self.refuse(404, "RevisionNotFound")
        if name not in repo.commits[sha]:
            return self.refuse(404, "EntryNotFound", extra={"X-Repo-Commit": sha})
        data = repo.commits[sha][name]
        if not name.endswith(LARGE):
            return self.send(data, {"X-Repo-Commit": sha, "ETag": f'"{git_hash(data)}"'})
        oid = hashlib.sha256(data).hexdigest()
        headers = {"X-Repo-Commit": sha, "X-Linked-Etag": f'"{oid}"'}
        headers |= {"X-Linked-Size": str(len(data)), "Location": f"{self.hub.cdn}/lfs/{oid}"}
        if oid in self.hub.stored:
            route = f"{self.hub.endpoint}/api/models/{repo_id}/xet-read-token/{sha}"
            headers |= {"X-Xet-Hash": self.hub.stored[oid], "X-Xet-Refresh-Route": route}
            headers["Link"] = f'<{route}>; rel="xet-auth"'
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
        """The request's body, once; empty where there is none, or the sender has gone."""
        if self.read:
            return b""
        self.read = True
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(
        self, value: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        kind = {"Content-Type": "application/json"}
        self.send(json.dumps(value).encode(), kind | (headers or {}), status)

    def refuse(
        self, status: int, code: str = "", message: str = "", extra: dict[str, str] | None = None
    ) -> None:
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
        data = data if cut is None else data[:cut]
        self.seen.sent += len(data)  # first: whoever has read the answer may ask what was sent
        self.wfile.write(data)
        if cut is not None:
            self.close_connection = True


@contextmanager
def serving(xet: Path | None = None) -> Iterator[Hub]:
    """Both ports, until the body ends; ``xet`` is a new folder for what Xet stores."""
    hub = Hub(None if xet is None else XetStore(xet))
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


def status(code: int, error: str = "", message: str = "", **headers: str):
    """The hub answers with an error."""

    def do(handler: Handler) -> bool:
        handler.refuse(code, error, message, headers)
        return True

    return do
