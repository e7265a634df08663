"""Where a push goes, and what it leaves: visibility, branches, pull requests, refusals."""

from pathlib import Path

import pytest

from rvec_merge.errors import RvecError
from rvec_merge.hub.errors import HubError, Unreachable
from rvec_merge.sharing.push import Upload, prepare, push
from rvec_merge.vector.dense import extract_dense
from rvec_merge.vector.inputs import open_donors
from tests.hub.conftest import folder_files, over_http
from tests.hub.server import Handler
from tests.hub.state import Hub

EMPTY = {".gitattributes"}


@pytest.fixture
def upload(hub: Hub, vector: Path) -> Upload:
    return prepare("vector", vector, "me/vector", license="mit")


def writes(hub: Hub) -> list[str]:
    """The requests that would have changed something."""
    return [r.path for r in hub.requests if r.method in ("POST", "PUT", "DELETE")]


def refused(code: int, message: str = ""):
    def do(handler: Handler) -> bool:
        handler.refuse(code, message=message)
        return True

    return do


def test_a_private_push(hub: Hub, vector: Path, upload: Upload):
    push(upload, private=True)
    assert hub.repos["me/vector"].private
    push(upload, private=True)  # and again, into the same
    assert set(hub.files("me/vector")) > set(folder_files(vector))


def test_private_onto_a_public_repo_is_refused_before_anything_is_sent(hub: Hub, upload: Upload):
    hub.put("me/vector", {".gitattributes": b""})
    with pytest.raises(HubError, match="repo is public; nothing was uploaded") as caught:
        push(upload, private=True)
    assert "it was there before" in caught.value.facts
    assert not writes(hub)
    assert set(hub.files("me/vector")) == EMPTY


def test_a_server_that_ignores_private_is_refused_and_keeps_nothing(hub: Hub, upload: Upload):
    def make_public(handler: Handler) -> bool:
        handler.hub.put("me/vector", {".gitattributes": b""})
        handler.body()
        handler.answer({"url": f"{handler.hub.endpoint}/me/vector"})
        return True

    hub.fail("POST", "hub:/api/repos/create", make_public)
    with pytest.raises(HubError, match="repo is public; nothing was uploaded") as caught:
        push(upload, private=True)
    assert any("the Hub made it so" in fact for fact in caught.value.facts)
    assert writes(hub) == ["/api/repos/create", "/api/repos/delete"]
    assert not hub.repos


def test_a_branch_is_made_once(hub: Hub, vector: Path, upload: Upload):
    push(upload, revision="next")
    push(prepare("vector", vector, "me/vector", license="mit"), revision="next")
    assert set(hub.files("me/vector")) == EMPTY
    assert set(hub.files("me/vector", "next")) > set(folder_files(vector))


def test_a_pull_request_is_opened_and_then_added_to(hub: Hub, vector: Path, upload: Upload):
    hub.put("me/vector", {".gitattributes": b""})
    assert push(upload, as_pr=True).endswith("/discussions/1")
    branches = set(hub.repos["me/vector"].branches)
    push(upload, revision="refs/pr/1")
    assert set(hub.repos["me/vector"].branches) == branches
    assert set(hub.files("me/vector", "refs/pr/1")) > set(folder_files(vector))
    assert set(hub.files("me/vector")) == EMPTY
    assert not [r for r in hub.requests if "/branch/" in r.path]
    with pytest.raises(HubError, match="no such revision"):
        push(upload, revision="refs/pr/7")
    assert set(hub.repos["me/vector"].branches) == branches


@pytest.mark.parametrize("how", [{"as_pr": True}, {"revision": "refs/pr/1"}])
def test_no_repo_is_made_for_a_pull_request(hub: Hub, upload: Upload, how):
    with pytest.raises(HubError, match="no repo to open a pull request on"):
        push(upload, **how)
    assert not hub.repos


@over_http
@pytest.mark.parametrize("code", [404, 501])
def test_without_a_xet_service_the_way_round_is_named_and_no_repo_stays(
    hub: Hub, upload: Upload, vector: Path, monkeypatch, code
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.fail("GET", "hub:.*xet-write-token", refused(code), times=99)
    with pytest.raises(HubError, match="HF_HUB_DISABLE_XET=1") as caught:
        push(upload)
    assert "127.0.0.1" not in str(caught.value)
    assert not hub.repos
    kept = hub.put("me/vector", {".gitattributes": b""})
    with pytest.raises(HubError, match="HF_HUB_DISABLE_XET=1"):
        push(upload)
    assert hub.repos["me/vector"].branches == {"main": kept}
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    push(prepare("vector", vector, "me/vector", license="mit"))
    assert set(hub.files("me/vector")) > set(folder_files(vector))


@over_http
@pytest.mark.parametrize("path", ["/preupload/", r"\.git/info/lfs/", "/commit/", "/branch/"])
def test_what_the_hub_refuses_leaves_no_repo(hub: Hub, upload: Upload, path):
    revision = "next" if path == "/branch/" else None
    hub.fail("POST", f"hub:.*{path}", refused(403, "the quota is used up"))
    with pytest.raises(HubError, match="it says: the quota is used up"):
        push(upload, revision=revision)
    assert not hub.repos


def test_a_repo_that_somebody_wrote_to_meanwhile_stays(hub: Hub, upload: Upload):
    def overtaken(handler: Handler) -> bool:
        handler.hub.put("me/vector", {"theirs.txt": b"theirs"})
        handler.refuse(412, message="A commit has happened since")
        return True

    hub.fail("POST", "hub:.*/commit/", overtaken)
    with pytest.raises(HubError, match="A commit has happened since") as caught:
        push(upload)
    assert "the new repo was left behind" in caught.value.facts
    assert hub.files("me/vector") == {"theirs.txt": b"theirs"}


def test_a_repo_that_cannot_be_deleted_again_is_named(hub: Hub, upload: Upload):
    hub.fail("POST", "hub:.*/commit/", refused(403))
    hub.fail("DELETE", "hub:/api/repos/delete", refused(403))
    with pytest.raises(HubError, match="refuses access") as caught:
        push(upload)
    assert "the new repo was left behind" in caught.value.facts


@over_http
def test_an_answer_that_never_came_keeps_what_arrived(hub: Hub, upload: Upload):
    hub.fail("POST", "hub:.*/commit/", refused(500, "try me tomorrow"))
    with pytest.raises(Unreachable, match="it says: try me tomorrow"):
        push(upload)
    assert set(hub.files("me/vector")) == EMPTY
    assert hub.objects


def test_a_server_without_the_service_says_so_itself(hub: Hub, upload: Upload):
    hub.fail("POST", "hub:/api/repos/create", refused(501, "this mirror is read-only"))
    with pytest.raises(HubError, match="this mirror is read-only") as caught:
        push(upload)
    assert not isinstance(caught.value, Unreachable)
    assert "later" not in caught.value.fix


def test_a_repo_of_another_kind_is_not_mixed(hub: Hub, upload: Upload):
    hub.put("me/vector", {"recipe.yaml": b"a: recipe", "README.md": b"theirs"})
    with pytest.raises(HubError, match="holds a recipe already"):
        push(upload)
    assert set(hub.files("me/vector")) == {"recipe.yaml", "README.md"}
    assert not writes(hub)


@pytest.mark.parametrize("name", ["vector", "me/vector@next", "hf://me/vector@refs/pr/1"])
def test_a_destination_has_an_owner_and_no_revision(hub: Hub, vector: Path, name):
    with pytest.raises(HubError, match="names no repo to push to"):
        prepare("vector", vector, name, license="mit")


def test_a_recipe_that_cannot_be_merged_is_not_shared(
    hub: Hub, shared, recipe_file: Path, triple, tmp_path
):
    from tests.conftest import make_triple

    other = make_triple(tmp_path / "other", hidden_size=16)
    hub.put("org/sft", folder_files(other["sft"]))
    with pytest.raises(RvecError, match="embed_tokens"):
        prepare("recipe", recipe_file, "me/recipe", license="mit")
    assert not writes(hub)


def test_a_dense_vector_is_refused_and_the_compact_one_named(hub: Hub, triple, tmp_path):
    extract_dense(open_donors(triple["grpo"], triple["sft"]), tmp_path / "dense", shard_size=10**9)
    with pytest.raises(HubError, match=r"has no hashes to be held to(.|\n)*format compact"):
        prepare("vector", tmp_path / "dense", "me/vector", license="mit")
