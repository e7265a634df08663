"""Every error of the Hub that a user can mend."""

from collections.abc import Iterable

from rvec_merge.errors import RvecError

OFFLINE = "HF_HUB_OFFLINE is set"


class HubError(RvecError):
    """The Hub, or what it holds, does not allow what was asked."""


class Unreachable(HubError):
    """No answer from the Hub; what is in the cache may still be used."""


class Missing(HubError):
    """The Hub has no such repo, or does not show it."""


def not_cached(*facts: str) -> Unreachable:
    """The error for what the Hub does not answer, or may not be asked, and the cache lacks."""
    return Unreachable(
        "Offline, and the Hub's cache lacks it.",
        facts,
        "run once with HF_HUB_OFFLINE=0, which fills the cache; of a folder, correct the path.",
    )


def rate_limited(what: str, wait: str, said: Iterable[str] = ()) -> HubError:
    """The error for a Hub that wants fewer requests."""
    facts = [what, *([f"it asks to wait {wait} s"] if wait.isdecimal() else []), *said]
    return HubError(
        "The Hub's rate limit is reached.", facts, "wait a few minutes; a token raises it."
    )
