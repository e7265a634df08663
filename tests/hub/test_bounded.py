"""Answers without end, at a crawl, or of nonsense end in one error, within the stated limits."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rvec_merge.hub import bounded, snapshot
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.models import fetch_model
from rvec_merge.hub.references import HubReference
from rvec_merge.sharing.index import search_recipes
from tests.hub.conftest import over_http
from tests.hub.server import Handler
from tests.hub.state import Hub

REPO = HubReference("org/grpo")
pytestmark = over_http  # the bounds are on HTTP
TREE = "hub:/api/models/org/grpo/tree"


def body_of(headers: dict[str, str], chunks: Callable[[Handler], Any]):
    """The hub answers with these headers, and chunks as long as the client listens."""

    def do(handler: Handler) -> bool:
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.close_connection = True
        for chunk in chunks(handler):
            handler.wfile.write(chunk)
            handler.wfile.flush()
            handler.seen.sent += len(chunk)
        return True

    return do


def endless(handler: Handler):
    yield b"["
    while True:
        yield b" " * 65536


def refused(said: str) -> None:
    with pytest.raises(HubError, match=said):
        fetch_model(REPO)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "999999999999"}])
def test_an_endless_listing_ends(hub: Hub, shared, headers):
    hub.fail("GET", TREE, body_of(headers, endless))
    refused("longer than it may")
    assert hub.sent("/tree/") < 2 * bounded.ANSWER_BYTES


def test_a_small_file_is_no_longer_than_it_is_listed(hub: Hub, shared, tmp_path: Path):
    hub.fail("GET", "hub:.*/resolve/.*/config.json", body_of({}, endless))
    refused("longer than it may")
    assert hub.sent("config.json") < 20 << 20  # what the sockets hold
    assert not [p for p in (tmp_path / "hf").rglob("*") if p.stat().st_size > 20_000]


def test_a_server_that_ignores_ranges_sends_no_more_than_an_answer(hub: Hub, shared):
    from rvec_merge.hub.remote import headers_of

    found = snapshot.open_snapshot(REPO)
    hub.fail("GET", "cdn:", body_of({}, endless))
    with pytest.raises(HubError, match="longer than it may"):
        headers_of(found, Path())


def test_a_packed_answer_is_not_unpacked(hub: Hub, shared):
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    hub.fail("GET", TREE, body_of(packed, endless))
    refused("cannot be bounded")


def test_a_drip_ends(hub: Hub, shared, monkeypatch):
    monkeypatch.setattr(bounded, "GRACE", 0.1)
    stop = threading.Event()

    def drip(handler: Handler):
        while not stop.wait(0.02):
            yield b" "

    hub.fail("GET", TREE, body_of({}, drip))
    refused("too slow")
    stop.set()


def test_silence_ends(hub: Hub, shared, monkeypatch):
    monkeypatch.setattr(bounded, "SILENCE", 0.1)
    stop = threading.Event()

    def silent(handler: Handler) -> bool:
        stop.wait(60)
        return False

    hub.fail("GET", TREE, silent, times=99)
    refused("connection to the Hub failed")
    stop.set()


def linked(hub: Hub, to: Callable[[Handler], str], content: bytes = b"[]"):
    def do(handler: Handler) -> bool:
        link = {"Link": f'<{to(handler)}>; rel="next"', "Content-Type": "application/json"}
        handler.send(content, link)
        return True

    return do


def test_a_list_that_goes_on_at_another_host_is_not_followed(hub: Hub, shared):
    there = f"{hub.cdn}/api/models/org/grpo/tree/main"
    hub.fail("GET", TREE, linked(hub, lambda handler: there))
    refused("goes on at another host")
    hub.fail("GET", "hub:/api/models$", linked(hub, lambda handler: there))
    with pytest.raises(HubError, match="goes on at another host"):
        search_recipes()
    assert not [r for r in hub.requests if r.on == "cdn"]


def test_a_list_of_pages_without_end_ends(hub: Hub, shared, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_REQUESTS", 20)
    again = linked(hub, lambda handler: f"{hub.endpoint}{handler.path}")
    hub.fail("GET", TREE, again, times=1_000)
    refused("goes on without end")


def test_no_wait_is_longer_than_a_minute(hub: Hub, shared):
    def later(handler: Handler) -> bool:
        handler.refuse(429, extra={"Retry-After": "999999999"})
        return True

    hub.fail("GET", TREE, later)
    refused("rate limit")
    assert len([r for r in hub.requests if "/tree/" in r.path]) == 1


def test_what_else_uses_the_client_is_left_alone(hub: Hub, shared, monkeypatch):
    from huggingface_hub import get_session

    monkeypatch.setattr(bounded, "ANSWER_BYTES", 10)
    snapshot.client()
    answer = get_session().get(f"{hub.endpoint}/api/models/org/grpo/tree/main")
    assert len(answer.content) > 10


GOOD = {"type": "file", "path": "config.json", "size": 3, "oid": "0" * 40}
NONSENSE = [
    None,
    "x",
    7,
    {"error": "x"},
    [1],
    [None],
    [{"type": "file"}],
    [{}],
    [{**GOOD, "path": 1}],
    [{**GOOD, "size": -1}],
    [{**GOOD, "size": "12"}],
    [{**GOOD, "size": 1e308}],
    [{**GOOD, "oid": "zz"}],
    [{**GOOD, "oid": None}],
    [{**GOOD, "lfs": {"oid": "short", "size": 1, "pointerSize": 1}}],
    [{**GOOD, "lfs": {}}],
    [{**GOOD, "lfs": [1]}],
    [{**GOOD, "xetHash": "../../x"}],
    [GOOD, GOOD],
]


@pytest.mark.parametrize("what", ["tree", "revision"])
@pytest.mark.parametrize(
    "content",
    [*(json.dumps(value).encode() for value in NONSENSE), b"", b"{", b"\xff\xfe", b"[" * 100_000],
    ids=lambda content: content[:40].decode("utf-8", "replace"),
)
def test_an_answer_of_nonsense_is_one_error(hub: Hub, shared, content: bytes, what: str):
    def do(handler: Handler) -> bool:
        handler.send(content, {"Content-Type": "application/json"})
        return True

    hub.fail("GET", f"hub:/api/models/org/grpo/{what}|hub:/api/models/org/grpo$", do, times=9)
    with pytest.raises(HubError):
        fetch_model(HubReference("org/grpo", "main" if what == "revision" else None))
