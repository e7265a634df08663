"""What the Hub's client raises, told as what it means to a user and what to do."""

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING

from rvec_merge.errors import RvecError, why
from rvec_merge.hub.bounded import ANSWER_BYTES, at_most
from rvec_merge.hub.errors import OFFLINE, HubError, Missing, Unreachable, not_cached, rate_limited

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_TOKENS = "https://huggingface.co/settings/tokens"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DISK = {*_FULL, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
_NETWORK = (ConnectionError, TimeoutError, socket.gaierror)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the client's errors into one ``HubError`` each; ``what`` names the repo or action.

    No URL is repeated: one of a download may carry a signature.

    Raises:
        HubError: the client raised.
    """
    from huggingface_hub import errors as client

    # The HTTP library's own base class, whichever library this client is built on.
    transport = client.HfHubHTTPError.__mro__[1]
    try:
        with at_most(ANSWER_BYTES):
            yield
    except RvecError:
        raise
    except client.LocalEntryNotFoundError as error:
        # The client wraps what kept it from the network, and whether it was allowed there.
        raise _explain(error.__cause__ or error, what) from None
    except (transport, OSError, ValueError, RecursionError, *_own(client)) as error:
        raise _explain(error, what) from None
    except Exception as error:
        cause = error.__cause__
        if isinstance(error, RuntimeError) and isinstance(cause, transport | OSError):
            raise _explain(cause, what) from None  # an upload that failed
        if not _raised_by_client(error):
            raise
        raise _explain(error, what) from None


def _own(client: ModuleType) -> tuple[type[Exception], ...]:
    return client.EntryNotFoundError, client.SafetensorsParsingError, client.XetDownloadError


def _raised_by_client(error: BaseException) -> bool:
    """Whether the client stumbled over an answer, or Xet's compiled part called from it did."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).startswith("huggingface_hub")


def _explain(error: BaseException, what: str) -> HubError:
    from huggingface_hub import errors as client

    if isinstance(error, client.OfflineModeIsEnabled | client.LocalEntryNotFoundError):
        return not_cached(what, OFFLINE)
    if isinstance(error, client.HFValidationError):
        return HubError("This is no Hub id.", [what, one_line(error)], "write it as org/name.")
    if isinstance(error, client.HfHubHTTPError):
        return _refused(error, what)
    if isinstance(error, client.EntryNotFoundError):
        return HubError("The repo lacks a file.", [what, one_line(error)], "check the repo's name.")
    if isinstance(error, client.SafetensorsParsingError):
        return HubError(
            "A safetensors header on the Hub is malformed or too large.",
            [what, one_line(error)],
            "do not use this repo; tell its author.",
        )
    if (number := _number(error)) is not None:
        name = getattr(error, "filename", None)
        return HubError(
            "The disk with the Hub's cache is full."
            if number in _FULL
            else "A file cannot be written or read.",
            [what, os.strerror(number) + (f": {name}" if name else "")],
            "make room, or set HF_HOME to a folder you may write to.",
        )
    if isinstance(error, ValueError | TypeError | LookupError | AttributeError | RecursionError):
        return HubError(
            "The Hub's answer makes no sense.",
            [what, one_line(error) or type(error).__name__],
            "try again; if HF_ENDPOINT is set, check that it names a Hub.",
        )
    if isinstance(error, RuntimeError):
        return Unreachable(
            "Xet storage, where the Hub keeps large files, does not answer as it should.",
            [what, one_line(error)],
            "run it again: finished files are kept. HF_HUB_DISABLE_XET=1 takes the other way.",
        )
    return Unreachable(
        "The connection to the Hub failed.",
        [what, one_line(error) or type(error).__name__],
        "run it again: finished files are kept. HF_HUB_OFFLINE=1 uses what is cached.",
    )


def _refused(error: BaseException, what: str) -> HubError:
    from huggingface_hub import errors as client

    assert isinstance(error, client.HfHubHTTPError)
    status = error.response.status_code
    if isinstance(error, client.GatedRepoError):
        return HubError(
            "The repo is gated.",
            [what, "its authors grant access one by one"],
            "ask for access on the repo's page, then log in: hf auth login, or HF_TOKEN.",
        )
    if isinstance(error, client.RevisionNotFoundError):
        return HubError(
            "The repo has no such revision.", [what], "name a branch, a tag or a commit of it."
        )
    if status == 401 and _has_token() and not isinstance(error, client.RepositoryNotFoundError):
        return HubError(
            "The Hub does not accept the token.",
            [what, "the answer was 401", *_said(error)],
            f"make a new one at {_TOKENS} and set it: hf auth login, or HF_TOKEN.",
        )
    if isinstance(error, client.RepositoryNotFoundError):
        facts = [what, "it is missing, or private and the token does not open it"]
        if not _has_token():
            facts[1] = "it is missing, or private; you are not logged in"
        return Missing(
            "The repo does not exist.", facts, "correct the name; if it is private: hf auth login."
        )
    if isinstance(error, client.EntryNotFoundError):
        return HubError("The repo lacks a file.", [what], "check the repo's name and revision.")
    if status in (401, 403):
        return HubError(
            "The Hub refuses access.",
            [what, f"the answer was {status}", *_said(error)],
            f"log in with a token that may do this (hf auth login; {_TOKENS}).",
        )
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        return rate_limited(what, wait, _said(error))
    facts = [what, f"the answer was {status}", *_said(error)]
    if status == 501:
        return HubError(
            "The server cannot do what was asked.",
            facts,
            "if HF_ENDPOINT names another server than the Hub, use the Hub.",
        )
    if status >= 500:
        return Unreachable(
            "The Hub is in trouble.", facts, "try again later: finished files are kept."
        )
    return HubError("The Hub refuses the request.", facts, "correct what it names.")


def _said(error: "HfHubHTTPError") -> list[str]:
    """The server's own words, if it had any."""
    words = _plain(error.server_message or "")
    return [f"it says: {words}"] if words else []


def _number(error: BaseException) -> int | None:
    """The system's number for what a file or disk refuses; None where it is not about those."""
    if isinstance(error, OSError):
        return None if isinstance(error, _NETWORK) else error.errno
    told = re.search(r"\(os error (\d+)\)", str(error))  # as Xet's compiled part tells it
    return int(told[1]) if told and int(told[1]) in _DISK else None


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def one_line(error: BaseException) -> str:
    """The first line of what an error says, without URLs: one may carry a signature."""
    return _plain(why(error))


def _plain(text: str) -> str:
    first = (text.strip().splitlines() or [""])[0]
    return re.sub(r"https?://\S+", "(URL)", first)[:200]
