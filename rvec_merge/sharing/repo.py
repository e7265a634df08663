"""The repo that a push goes to: found or made, private as asked, and not left behind empty."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rvec_merge.hub.errors import HubError, Missing, Unreachable
from rvec_merge.hub.explained import explained, one_line
from rvec_merge.hub.references import parse_reference
from rvec_merge.hub.snapshot import TIMEOUT

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo


def destination(text: str) -> str:
    """The repo that a push is told to go to.

    Raises:
        HubError: it is no id, or has no owner, or names a revision.
    """
    reference = parse_reference(text)
    if "/" not in reference.repo_id or reference.revision is not None:
        raise HubError(
            "This names no repo to push to.",
            [text],
            "write OWNER/NAME; --revision names a branch of it.",
        )
    return reference.repo_id


@contextmanager
def repo_for_push(
    api: "HfApi", repo_id: str, *, private: bool, revision: str | None, opens_pr: bool
) -> Iterator[None]:
    """Find the repo and the branch, or make them; what was made for nothing is deleted again.

    Args:
        private: refuse a public repo, before anything is uploaded.
        revision: a branch, made where there is none; or an open pull request, refs/pr/N.

    Raises:
        HubError: it is public, or cannot be made.
    """
    wants_repo = opens_pr or (revision or "").startswith("refs/")
    with explained(repo_id):
        info, is_new = _find_or_make(api, repo_id, private=private, wants_repo=wants_repo)
    try:
        if private and not info.private:
            raise _public(repo_id, is_new=is_new)
        if revision is not None and not wants_repo:
            with explained(repo_id):
                api.create_branch(repo_id, branch=revision, exist_ok=True)
        yield
    except HubError as error:
        # Where the connection broke, what has arrived stays for the rerun.
        if not is_new or isinstance(error, Unreachable):
            raise
        raise _removed(api, info, error) from None


@contextmanager
def through_xet(what: str) -> Iterator[None]:
    """Name the way that large files take: hf_xet's own errors do not.

    Raises:
        HubError: hf_xet failed.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (OSError, RuntimeError) as error:
        known = isinstance(error, HfHubHTTPError) or error.__cause__ is not None
        if known or getattr(error, "errno", None) is not None or constants.HF_HUB_DISABLE_XET:
            raise
        raise HubError(
            "The upload through Xet, the Hub's storage of large files, failed.",
            [what, one_line(error)],
            "run it again; where the server or the network has no Xet: HF_HUB_DISABLE_XET=1.",
        ) from None


def _find_or_make(
    api: "HfApi", repo_id: str, *, private: bool, wants_repo: bool
) -> tuple["ModelInfo", bool]:
    """The repo as the Hub has it, and whether it was made just now."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(repo_id, timeout=TIMEOUT), False
    except RepositoryNotFoundError:
        if wants_repo:
            raise Missing(
                "There is no repo to open a pull request on.",
                [repo_id, "it is missing, or private and the token does not open it"],
                "correct the name, or push without a pull request, which makes the repo.",
            ) from None
    api.create_repo(repo_id, private=private or None)  # None: the account's default
    return api.model_info(repo_id, timeout=TIMEOUT), True


def _public(repo_id: str, *, is_new: bool) -> HubError:
    made = "the Hub made it so, though a private one was asked for"
    return HubError(
        "The repo is public; nothing was uploaded.",
        [repo_id, made if is_new else "it was there before"],
        "make it private in its settings, name another, or leave --private out.",
    )


def _removed(api: "HfApi", made: "ModelInfo", error: HubError) -> HubError:
    """Delete a repo that is as it was made; the error, which says so if it stays."""
    try:
        with explained(made.id):
            heads = {branch.target_commit for branch in api.list_repo_refs(made.id).branches}
            if heads == {made.sha}:
                api.delete_repo(made.id)
                return error
    except HubError:
        pass
    return HubError(error.headline, [*error.facts, "the new repo was left behind"], error.fix)
