"""Bounds on the answers of the Hub and its storage: bytes, seconds, requests, and who gets a token.

The client itself takes as much as it is sent. Its answers are bounded where our own calls ask for
them (``at_most``, which ``explained`` enters); what else in this process uses the client is
left alone. Xet's transfers are not HTTP of the client's; they are cut at the size that is listed.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rvec_merge.hub.errors import HubError, rate_limited

ANSWER_BYTES = 32 << 20  # of one answer that is no file: a page of a listing, a header
GRACE = 60.0  # seconds that any answer may take
SLOWEST = 10_000  # bytes per second that a longer one must bring on average
SLOWEST_FILE = 1_000  # of one file among several that come over a thin line
SILENCE = 30.0  # seconds without a byte
MOST_REQUESTS = 1_000  # for one thing asked, such as a listing of many pages
LONGEST_WAIT = 60  # seconds that the Hub may ask the client to wait before it tries again
_HUBS = ("https://huggingface.co", "https://hf.co")
_TIMEOUTS = ("connect", "read", "write", "pool")


@dataclass
class _Allowance:
    most: int
    slowest: int
    requests: int = 0


_allowance: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def at_most(nbytes: int, slowest: int = SLOWEST) -> Iterator[None]:
    """Let no answer to this thread's requests be longer than so many bytes, or slower than that."""
    token = _allowance.set(_Allowance(nbytes, slowest))
    try:
        yield
    finally:
        _allowance.reset(token)


def guard_client() -> None:
    """Have the client's HTTP sessions call us about each request and answer."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    make = _http._GLOBAL_CLIENT_FACTORY  # the user may have set one, for a proxy
    if getattr(make, "is_guarded", False):
        return

    def guarded() -> Any:
        session = make()
        hooks = session.event_hooks
        hooks["request"] = [*hooks["request"], _check_request]
        hooks["response"] = [*hooks["response"], _bound_response]
        session.event_hooks = hooks
        return session

    guarded.is_guarded = True  # type: ignore[attr-defined]
    set_client_factory(guarded)


def _check_request(request: Any) -> None:
    allowance = _allowance.get()
    if allowance is None:
        return
    allowance.requests += request.method == "GET"  # an upload of many parts may have more
    if allowance.requests > MOST_REQUESTS:
        raise _refused(request, f"more than {MOST_REQUESTS:,} requests", "goes on without end")
    if "authorization" in request.headers and not _is_hub(str(request.url)):
        # httpx keeps it from other hosts in redirects; the client's own pager does not.
        raise _refused(request, f"at {request.url.host}", "goes on at another host")
    request.headers["Accept-Encoding"] = "identity"  # else few bytes could unpack to any number
    if request.method not in ("GET", "HEAD"):
        return  # a commit takes what it takes
    timeouts = request.extensions.get("timeout", {})
    known = {name: timeouts.get(name) for name in _TIMEOUTS}
    request.extensions["timeout"] = {k: SILENCE if v is None else v for k, v in known.items()}


def _is_hub(url: str) -> bool:
    from huggingface_hub import constants

    return _origin(url) in {_origin(known) for known in (constants.ENDPOINT, *_HUBS)}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _bound_response(response: Any) -> None:
    allowance = _allowance.get()
    if allowance is None:
        return
    wait = response.headers.get("Retry-After", "")
    if response.status_code == 429 and wait.isdecimal() and int(wait) > LONGEST_WAIT:
        raise rate_limited(response.request.url.path, wait)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _refused(response.request, "packed, which was not asked for", "cannot be bounded")
    stream_type = sys.modules[type(response).__module__.partition(".")[0]].SyncByteStream
    bounded = type("Bounded", (_Bounded, stream_type), {})
    response.stream = bounded(response, allowance)


class _Bounded:
    """The bytes of an answer as they come, up to a limit of bytes and of time."""

    def __init__(self, response: Any, allowance: _Allowance) -> None:
        self._request, self._stream = response.request, response.stream
        self._allowance = allowance

    def __iter__(self) -> Iterator[bytes]:
        start, received, most = time.monotonic(), 0, self._allowance.most
        for chunk in self._stream:
            received += len(chunk)
            if received > most:
                raise _refused(self._request, f"over {most:,} bytes", "is longer than it may be")
            if (took := time.monotonic() - start) > GRACE + received / self._allowance.slowest:
                raise _refused(self._request, f"{received:,} bytes in {took:.0f} s", "is too slow")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _refused(request: Any, fact: str, what: str) -> HubError:
    return HubError(
        f"An answer of the Hub {what}.",
        [request.url.path, fact],
        "try again later; if HF_ENDPOINT is set, check that you trust it.",
    )
