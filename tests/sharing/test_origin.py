"""What something was made from: repos, folders and their licences."""

from pathlib import Path

from rvec_merge.hub.references import HubReference
from rvec_merge.sharing.origin import Source, origin_of
from tests.hub.conftest import over_http
from tests.hub.state import Hub


@over_http
def test_licences_are_the_hubs_own(hub: Hub, tmp_path: Path):
    commit = hub.put("org/a", {"README.md": b"---\nlicense: mit\n---\n"})
    hub.put("org/a", {"README.md": b"---\nlicense: other\n---\n"})
    hub.put("org/lora", {"README.md": b"---\nlicense: cc0-1.0\n---\n"})
    hub.put("org/silent", {"x": b""})
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    origin = origin_of(
        [
            Source("org/a+org/lora", commit, "what was recorded"),
            Source("org/silent", None, None),
            Source("org/gone@" + "0" * 40, None, "bsd"),
            Source("models/target", None, "mit"),
            Source(str(tmp_path)),
        ]
    )
    assert origin.models == (
        HubReference("org/a", commit),
        HubReference("org/lora"),  # the model's commit is not the adapter's
        HubReference("org/silent"),
        HubReference("org/gone", "0" * 40),
    )
    assert origin.licenses == {
        "org/a": "mit",
        "org/lora": "cc0-1.0",
        "org/silent": None,
        "org/gone": "bsd",
        "models/target": "mit",
        str(tmp_path): "apache-2.0",
    }
    assert origin.local == ("models/target", str(tmp_path))
    assert origin.shared_license is None
    assert origin.foremost == origin.models[:1]


@over_http
def test_what_was_recorded_stands_in_for_a_silent_hub(hub: Hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    origin = origin_of([Source("org/a", None, "mit"), Source("org/b", None, "mit")])
    assert origin.shared_license == "mit"
    assert [str(model) for model in origin.models] == ["org/a", "org/b"]
