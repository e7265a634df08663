"""Results on disk: rows one at a time, within bounds, and one error for what is damaged."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import pytest

from rvec_merge.files import reading
from rvec_merge.files.reading import Budget, DamagedResults, read_as, read_rows


@dataclass
class Head:
    name: str
    items: int


@pytest.mark.parametrize("packed", [False, True])
def test_rows_keep_separators_that_only_some_take_for_line_ends(
    tmp_path: Path, packed: bool
) -> None:
    text = '{"a": "one\u2028two"}\n{"a": "\\n"}\n'.encode()
    path = tmp_path / ("rows.jsonl.gz" if packed else "rows.jsonl")
    path.write_bytes(gzip.compress(text) if packed else text)
    assert [row["a"] for row in read_rows(path)] == ["one\u2028two", "\n"]


def test_the_row_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n[2]\n')
    rows = read_rows(path)
    assert next(rows) == {"a": 1}
    with pytest.raises(DamagedResults, match="row 2: no JSON object"):
        next(rows)


def test_files_that_are_read_together_share_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' * 3)
    budget = Budget(rows=5)
    assert len(list(read_rows(path, budget))) == 3
    with pytest.raises(DamagedResults, match="more than"):
        list(read_rows(path, budget))


def test_a_file_is_read_as_what_it_is_to_be(tmp_path: Path) -> None:
    path = tmp_path / "head.json"
    path.write_text('{"name": "x", "items": 3}')
    assert read_as(path, Head) == Head("x", 3)
    path.write_text('{"name": "x", "items": "three"}')
    with pytest.raises(DamagedResults, match="items"):
        read_as(path, Head)


def test_what_unpacks_to_too_much_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "OBJECT", 100)
    path = tmp_path / "head.json.gz"
    path.write_bytes(gzip.compress(b'{"name": "' + b"x" * 10_000 + b'", "items": 1}'))
    with pytest.raises(DamagedResults, match="unpacks to more than 100 bytes"):
        read_as(path, Head)
