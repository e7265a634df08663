"""The loopback hub answers as the Hub does: its own client, called as documented, reads it."""

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, errors

from rvec_merge.hub.models import fetch_model
from rvec_merge.hub.references import HubReference
from rvec_merge.hub.snapshot import open_snapshot
from tests.hub.conftest import folder_files
from tests.hub.state import Hub


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi()


@pytest.fixture
def repo(api: HfApi) -> str:
    return api.create_repo("me/model").repo_id


def added(**files: bytes) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(name.replace("__", "."), data) for name, data in files.items()]


def test_branches_tags_and_commits(api: HfApi, repo: str):
    first = api.create_commit(repo, added(a__txt=b"1"), commit_message="one").oid
    api.create_tag(repo, tag="v1")
    api.create_branch(repo, branch="dev", revision=first)
    second = api.create_commit(repo, added(a__txt=b"2"), commit_message="two").oid
    refs = api.list_repo_refs(repo)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": second, "dev": first}
    assert [(t.ref, t.target_commit) for t in refs.tags] == [("refs/tags/v1", first)]
    assert [c.title for c in api.list_repo_commits(repo)] == ["two", "one", "initial commit"]
    for revision in ("v1", "dev", first):
        assert api.model_info(repo, revision=revision).sha == first
        assert Path(api.hf_hub_download(repo, "a.txt", revision=revision)).read_bytes() == b"1"
    api.delete_tag(repo, tag="v1")
    api.delete_branch(repo, branch="dev")
    with pytest.raises(errors.RevisionNotFoundError):
        api.model_info(repo, revision="v1")
    with pytest.raises(errors.HfHubHTTPError):
        api.create_branch(repo, branch="refs/pr/1")


def test_listings_of_many_pages_and_of_single_paths(hub: Hub, api: HfApi, repo: str):
    names = [f"f{i}.safetensors" for i in range(7)]
    api.create_commit(
        repo, added(**{n.replace(".", "__"): n.encode() for n in names}), commit_message="x"
    )
    hub.page = 3
    assert {f.path for f in api.list_repo_tree(repo)} == {".gitattributes", *names}
    assert len([r for r in hub.requests if "/tree/" in r.path]) == 3
    (found,) = api.get_paths_info(repo, ["f1.safetensors", "absent"])
    assert found.size == len(names[1])
    assert (found.xet_hash is None) == (hub.xet is None)
    stated = open_snapshot(HubReference(repo)).files["f1.safetensors"]
    assert (stated.sha256, stated.xet) == (found.lfs.sha256, found.xet_hash)


def test_a_stock_upload_is_had_back(hub: Hub, api: HfApi, triple):
    api.create_repo("me/stock")
    api.upload_folder(repo_id="me/stock", folder_path=triple["grpo"])
    folder = fetch_model(HubReference("me/stock"))
    assert folder_files(folder) == folder_files(triple["grpo"])
    api.upload_folder(repo_id="me/stock", folder_path=triple["sft"], delete_patterns="*.json")
    assert hub.files("me/stock").items() >= folder_files(triple["sft"]).items()


def test_a_renamed_repo_is_found_under_its_old_name(hub: Hub, api: HfApi, shared, triple):
    api.move_repo("org/grpo", "org/renamed")
    folder = fetch_model(HubReference("org/grpo"))
    assert folder_files(folder).items() >= folder_files(triple["grpo"]).items()
    with pytest.raises(errors.RepositoryNotFoundError):
        api.delete_repo("org/grpo")
    api.delete_repo("org/renamed")
    assert not api.repo_exists("org/renamed")


def test_visibility_and_gates(hub: Hub, api: HfApi, repo: str):
    api.update_repo_settings(repo, visibility="private")
    assert api.model_info(repo).private
    with pytest.raises(errors.RepositoryNotFoundError):
        api.model_info(repo, token=False)
    api.update_repo_settings(repo, visibility="public", gated="auto")
    assert not api.model_info(repo, token=False).private
    with pytest.raises(errors.GatedRepoError):
        api.hf_hub_download(repo, ".gitattributes")


def test_pull_requests(hub: Hub, api: HfApi, repo: str):
    operations = [*added(w__safetensors=b"w"), CommitOperationDelete(".gitattributes")]
    done = api.create_commit(repo, operations, commit_message="change", create_pr=True)
    assert (done.pr_num, done.pr_revision) == (1, "refs/pr/1")
    assert open_snapshot(HubReference(repo, "refs/pr/1")).files.keys() == {"w.safetensors"}
    (ref,) = api.list_repo_refs(repo, include_pull_requests=True).pull_requests or []
    assert ref.ref == "refs/pr/1"
    assert api.get_discussion_details(repo, 1).is_pull_request
    assert set(hub.files(repo)) == {".gitattributes"}
    api.merge_pull_request(repo, 1)
    assert set(hub.files(repo)) == {"w.safetensors"}
    assert api.get_discussion_details(repo, 1).status == "merged"
    assert api.create_pull_request(repo, title="second").num == 2
