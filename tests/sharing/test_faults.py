"""A bad network and a troubled hub: nothing corrupt is used, and a rerun completes."""

from pathlib import Path

import pytest

from rvec_merge.hub.errors import HubError, Unreachable
from rvec_merge.hub.recipes import open_recipe
from rvec_merge.hub.references import HubReference
from rvec_merge.sharing.pull import pull
from rvec_merge.sharing.push import prepare, push
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.hub.conftest import folder_files, over_http
from tests.hub.server import Handler, status
from tests.hub.state import Hub

REPO = HubReference("me/vector")


@pytest.fixture
def vector(triple, tmp_path):
    out = tmp_path / "compact"
    extract_compact(open_donors(triple["grpo"], triple["sft"]), out, shard_size=10**9)
    return out


@pytest.fixture
def pushed(hub: Hub, vector: Path) -> Path:
    push(prepare("vector", vector, "me/vector", license="mit"))
    hub.requests.clear()
    return vector


def cut(handler: Handler) -> bool:
    """The connection closes in the middle of the body."""
    data = handler.hub.objects[handler.plain.rpartition("/")[2]]
    handler.send(data, {"ETag": '"x"'}, cut=len(data) // 3)
    return True


def short(handler: Handler) -> bool:
    """A whole answer, but of fewer bytes than the headers promised."""
    data = handler.hub.objects[handler.plain.rpartition("/")[2]]
    handler.send(data[: len(data) // 2], {})
    return True


def flipped(handler: Handler) -> bool:
    """As many bytes as promised, one of them wrong."""
    data = bytearray(handler.hub.objects[handler.plain.rpartition("/")[2]])
    data[len(data) // 2] ^= 1
    handler.send(bytes(data), {})
    return True


def other_etag(handler: Handler) -> bool:
    """The header promises another object than the listing did, and sends that."""
    other = b"x" * len(handler.hub.files("me/vector")["vector.safetensors"])
    import hashlib

    oid = hashlib.sha256(other).hexdigest()
    handler.hub.objects[oid] = other
    headers = {"X-Repo-Commit": handler.plain.split("/")[4], "X-Linked-Etag": f'"{oid}"'}
    headers |= {"X-Linked-Size": str(len(other)), "Location": f"{handler.hub.cdn}/lfs/{oid}"}
    handler.send(b"", headers, 302)
    return True


@over_http
def test_a_connection_dropped_in_mid_download_is_resumed(
    hub: Hub, pushed: Path, tmp_path: Path, monkeypatch
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # the client keeps whole chunks
    hub.fail("GET", "cdn:/lfs/", cut)
    pull(REPO, tmp_path / "out")
    got = folder_files(tmp_path / "out")
    del got["README.md"]
    assert got == folder_files(pushed)
    assert [r.range is not None for r in hub.requests if r.method == "GET" and r.on == "cdn"] == [
        False,
        True,
    ]


@over_http
@pytest.mark.parametrize(
    ("method", "path", "do", "said"),
    [
        ("GET", "cdn:/lfs/", short, "connection to the Hub failed"),
        ("GET", "cdn:/lfs/", flipped, "damaged, and was deleted"),
        ("HEAD", r"hub:.*vector\.safetensors", other_etag, "damaged, and was deleted"),
        ("GET", "cdn:/lfs/", status(503), "The Hub is in trouble"),
        ("GET", "cdn:/lfs/", status(403), "The Hub refuses access"),
    ],
)
def test_a_bad_body_is_never_used_and_a_rerun_completes(
    hub: Hub, pushed: Path, tmp_path: Path, method, path, do, said
):
    hub.fail(method, path, do, times=1)
    with pytest.raises(HubError, match=said):
        pull(REPO, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    pull(REPO, tmp_path / "out")
    got = folder_files(tmp_path / "out")
    del got["README.md"]
    assert got == folder_files(pushed)


@over_http
def test_finished_files_are_kept(hub: Hub, pushed: Path, tmp_path: Path):
    hub.fail("GET", "cdn:/lfs/", short)
    with pytest.raises(HubError):
        pull(REPO, tmp_path / "out")
    hub.requests.clear()
    pull(REPO, tmp_path / "out")
    assert [r.path for r in hub.requests if "/resolve/" in r.path] == [
        r.path for r in hub.requests if r.path.endswith("vector.safetensors")
    ]


@over_http
def test_a_connection_dropped_in_mid_upload_is_tried_again(hub: Hub, vector: Path):
    def hang_up(handler: Handler) -> bool:
        handler.rfile.read(100)
        handler.close_connection = True
        handler.connection.close()
        return True

    hub.fail("PUT", "cdn:/lfs/", hang_up, times=2)
    push(prepare("vector", vector, "me/vector", license="mit"))
    assert folder_files(vector).items() <= hub.files("me/vector").items()


@over_http
def test_a_failed_upload_shows_nothing_and_a_rerun_completes(hub: Hub, vector: Path):
    upload = prepare("vector", vector, "me/vector", license="mit")
    hub.fail("PUT", "cdn:/lfs/", status(500), times=6)
    with pytest.raises(Unreachable, match="in trouble"):
        push(upload)
    assert set(hub.files("me/vector")) == {".gitattributes"}
    hub.fail("POST", "hub:.*/commit/", status(500))
    with pytest.raises(Unreachable, match="in trouble"):
        push(upload)
    assert set(hub.files("me/vector")) == {".gitattributes"}
    hub.requests.clear()
    push(upload)
    assert folder_files(vector).items() <= hub.files("me/vector").items()
    assert not [r for r in hub.requests if r.method == "PUT"]  # the object had arrived


@pytest.mark.parametrize(
    ("do", "said", "fix"),
    [
        (status(401, "RepoNotFound"), "does not exist", "correct the name"),
        (status(404, "RepoNotFound"), "does not exist", "correct the name"),
        (status(404, "RevisionNotFound"), "no such revision", "name a branch"),
        (status(403, "GatedRepo"), "is gated", "ask for access"),
        (
            status(401, message="Invalid credentials in Authorization header"),
            "does not accept the token",
            "make a new one",
        ),
        (status(403), "refuses access", "log in"),
        (status(429, **{"Retry-After": "120"}), "rate limit", "wait a few minutes"),
        (status(500), "in trouble", "try again later"),
        (status(418, message="short and stout"), "refuses the request", "correct what it names"),
    ],
)
def test_each_refusal_is_one_clear_error(hub: Hub, pushed, tmp_path, do, said, fix):
    hub.fail("GET", "hub:/api/models/me/vector", do, times=99)
    with pytest.raises(HubError, match=said) as caught:
        pull(REPO, tmp_path / "out")
    assert fix in caught.value.fix
    assert "me/vector" in caught.value.facts[0]
    assert "127.0.0.1" not in str(caught.value)


def test_a_missing_repo_says_that_nobody_is_logged_in(hub: Hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="you are not logged in"):
        pull(HubReference("no/such"), tmp_path / "out")


def test_offline_is_said_and_what_is_cached_is_used(hub: Hub, pushed, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unreachable, match="Offline, and the Hub's cache lacks it"):
        pull(REPO, tmp_path / "out")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    pull(REPO, tmp_path / "first")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    pull(REPO, tmp_path / "out")
    assert folder_files(tmp_path / "out") == folder_files(tmp_path / "first")
    assert not hub.requests


def test_no_hub_at_all(hub: Hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="connection to the Hub failed"):
        open_recipe("hf://me/recipe")


@pytest.mark.parametrize("name", ["hf://", "hf://a/b/c", "hf://a/../b", "hf://-x/y", "hf://a/b@"])
def test_what_is_no_hub_id(hub: Hub, name):
    with pytest.raises(HubError, match="no Hub id"):
        open_recipe(name)
    assert not hub.requests
