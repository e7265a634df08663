"""What looks like an access token is not shared."""

import gzip
import shutil

import pytest

from rvec_merge.hub.errors import HubError
from rvec_merge.sharing.push import prepare
from rvec_merge.sharing.secrets import refuse_secrets
from tests.hub.state import Hub


@pytest.mark.parametrize(
    "secret",
    [
        "hf_" + "aB3" * 12,
        "ghp_" + "x1" * 18,
        "sk-proj-" + "a1" * 16,
        "AKIA" + "ABCD1234" * 2,
        "-----BEGIN RSA PRIVATE KEY-----",
        "https://me:secret@host/x",
    ],
)
def test_refuses_what_looks_like_a_token_and_does_not_repeat_it(hub, vector, tmp_path, secret):
    copy = shutil.copytree(vector, tmp_path / "copy")
    (copy / "README.md").write_text(f"---\nlicense: mit\n---\n\nmy key:\n{secret}\n")
    with pytest.raises(HubError, match="looks like an access token") as caught:
        prepare("vector", copy, "me/vector")
    assert "README.md, line " in caught.value.facts[0]
    assert secret not in str(caught.value)


def test_refuses_the_users_own_token_in_packed_samples(hub: Hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "an odd but real token")
    samples = tmp_path / "samples_x_2026.jsonl.gz"
    with gzip.open(samples, "wt") as file:
        file.write('{}\n{"x": "an odd but real token"}\n')
    with pytest.raises(HubError, match="looks like an access token") as caught:
        refuse_secrets({"cells/x/samples.jsonl.gz": samples})
    assert caught.value.facts == ("cells/x/samples.jsonl.gz, line 2: your own Hub token",)
