"""Local data in place of the Hub's, and what is no data."""

from pathlib import Path

import pytest

from rvec_merge.errors import TaskError
from rvec_merge.tasks.variants import load_variant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no items"),
        ("{}\n", "not an item"),
        ('{"question": "a"}\n{"question": "b", "answer": "c"}\n', "not an item like"),
        ('{"question": "a"}\nnot json\n', "not an item like"),
        ("\xff", "not an item"),
    ],
)
def test_bad_local_data_is_one_clear_error(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "train.jsonl").write_text(text, encoding="utf-8")
    monkeypatch.setenv("RVEC_EVAL_DATA", str(tmp_path))
    with pytest.raises(TaskError, match=message) as caught:
        load_variant("rvec_gsm8k")
    assert caught.value.fix


def test_the_switch_must_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVEC_EVAL_DATA", "/nowhere/at/all")
    with pytest.raises(TaskError, match="does not exist"):
        load_variant("rvec_gsm8k")
