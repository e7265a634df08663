"""JSON objects that others wrote: whatever is wrong is one error, with the caller's advice."""

from pathlib import Path

import pytest

from rvec_merge.errors import CheckpointError
from rvec_merge.files import json_object
from rvec_merge.files.json_object import read_object


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a": [1, 2]}')
    assert read_object(tmp_path / "config.json", CheckpointError, "") == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[1]", "holds no JSON object"),
        (b"[" * 100_000, "cannot be read"),
        (None, "cannot be read"),
    ],
    ids=["cut", "no text", "a list", "nested without end", "not there"],
)
def test_what_is_wrong_is_one_error(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said) as caught:
        read_object(path, CheckpointError, "fetch it again.", where="org/model")
    assert caught.value.fix == "fetch it again."
    assert caught.value.facts[0] == "org/model"


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_object, "_MOST", 10)
    (tmp_path / "config.json").write_text('{"a": "0123456789"}')
    with pytest.raises(CheckpointError, match="19 bytes; 10 are the most"):
        read_object(tmp_path / "config.json", CheckpointError, "")
