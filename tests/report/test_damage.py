"""Results folders that were cut, corrupted, edited, or made to do harm: one error, or the truth."""

import gzip
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import OutputError, ResultsError, RvecError
from rvec_merge.experiment.store import Store
from rvec_merge.files import reading
from rvec_merge.files.reading import Budget, read_as, read_rows
from rvec_merge.report.card import write_card
from rvec_merge.results.read import Results, read_results
from tests.hub.conftest import over_http
from tests.hub.state import Hub

from .test_card_metadata import EVAL, on_the_hub

_JUNK: tuple[Any, ...] = (
    None, -1, 2**70, 1e308, float("nan"), float("inf"), "", "../../x", "\u202e", "\ud800",
    [], {}, [[]], {"a": 1}, True,
)  # fmt: skip


def outcome(*arguments: object) -> str:
    """``right``, or ``refused`` in three parts; whatever else happens is a failure."""
    done = CliRunner().invoke(rvec, [str(argument) for argument in arguments])
    if done.exit_code == 0:
        return "right"
    if not isinstance(done.exception, RvecError):
        raise AssertionError(f"{arguments}: {done.exception!r}") from done.exception
    assert all((done.exception.headline, done.exception.facts, done.exception.fix)), arguments
    assert "Errno" not in str(done.exception)
    return "refused"


@pytest.fixture
def verbs(copy: Path, tmp_path: Path, results: Results) -> Callable[[Path], Iterator[str]]:
    """Run on the copy what reads a file of it: report, card, and compare of a changed cell."""
    model = tmp_path / "merged"
    model.mkdir()
    (model / "mergekit_config.yml").write_text(results.recipe)
    cells = [copy / "cells" / flips.key for flips in changed(results)]

    def run(path: Path) -> Iterator[str]:
        yield outcome("report", copy, "--no-vector", "-o", tmp_path / "report.html")
        if not path.name.startswith("samples"):
            yield outcome("card", copy, model)
        if path.name.startswith(("samples", "results")):
            yield outcome("compare", *cells)

    return run


def changed(results: Results) -> list[Any]:
    """A baseline, and the vector's cell on the same task, whose items it changed."""
    records = [(row, flips) for row, flips in results.records() if row.cell.task == "rvec_tiny"]
    baseline = next(flips for row, flips in records if row.comparison is None)
    vector = next(
        flips
        for row, flips in records
        if row.cell.state.kind == "vector" and any(map(len, flips.rose.values()))
    )
    return [baseline, vector]


def targets(folder: Path, results: Results) -> list[Path]:
    """Every kind of file that is read."""
    cell = folder / "cells" / changed(results)[1].key
    named = ("experiment.json", "summary.json", "flips.json")
    return [*(folder / name for name in named), *sorted(cell.iterdir())]


def test_each_file_cut_at_ten_lengths_emptied_and_corrupted(
    copy: Path, results: Results, verbs: Callable[[Path], Iterator[str]]
) -> None:
    drawn = random.Random(0)
    seen: Counter[str] = Counter()
    for path in targets(copy, results):
        whole = path.read_bytes()
        flipped = bytearray(whole)
        for _ in range(9):
            flipped[drawn.randrange(len(whole))] ^= 1 << drawn.randrange(8)
        cuts = [whole[: len(whole) * tenth // 10] for tenth in range(10)]
        for damaged in (*cuts, whole[:-1], bytes(flipped), b"\xff" * 40, b"null", b"[]"):
            path.write_bytes(damaged)
            seen.update(verbs(path))
        path.unlink()
        seen.update(verbs(path))
        path.mkdir()
        seen.update(verbs(path))
        path.rmdir()
        path.write_bytes(whole)
        assert set(verbs(path)) == {"right"}
    assert seen["refused"] > 150


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in JSON, of long lists the first items."""
    found = value.items() if isinstance(value, dict) else enumerate(value[:4])
    for key, inside in found:
        yield (*above, key)
        if isinstance(inside, dict | list):
            yield from places(inside, (*above, key))


def mutated(value: Any, drawn: random.Random) -> Any:
    """The same with one thing gone, or another in its place."""
    value = json.loads(json.dumps(value))
    *above, last = drawn.choice(list(places(value)))
    inside = value
    for key in above:
        inside = inside[key]
    if drawn.random() < 0.5:
        del inside[last]
    else:
        inside[last] = drawn.choice(_JUNK)
    return value


def test_keys_gone_and_values_of_other_kinds(
    copy: Path, results: Results, verbs: Callable[[Path], Iterator[str]]
) -> None:
    drawn = random.Random(1)
    seen: Counter[str] = Counter()
    for path in targets(copy, results):
        whole = path.read_bytes()
        packed = path.suffix == ".gz"
        text = gzip.decompress(whole) if packed else whole
        documents = (
            [json.loads(line) for line in text.splitlines()] if packed else [json.loads(text)]
        )
        for _ in range(6):
            index = drawn.randrange(len(documents))
            edited = [*documents]
            edited[index] = mutated(edited[index], drawn)
            lines = "\n".join(map(json.dumps, edited)).encode()
            path.write_bytes(gzip.compress(lines) if packed else lines)
            seen.update(verbs(path))
        path.write_bytes(whole)
    assert seen["right"] > 10
    assert seen["refused"] > 10


def test_a_cell_is_found_only_as_it_was_filed(copy: Path, results: Results) -> None:
    store, key = Store(copy), changed(results)[1].key
    assert store.find(key) is not None
    for path in list((copy / "cells" / key).iterdir()):
        whole = path.read_bytes()
        for damaged in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"\n", None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            # The line's end after cell.json's object says nothing.
            kept = path.name == "cell.json" and damaged in (whole[:-1], whole + b"\n")
            assert (store.find(key) is not None) is kept, (path.name, damaged)
            path.write_bytes(whole)
    (copy / "cells" / key / ".DS_Store").write_text("of no interest")
    assert store.find(key) is not None
    cell = copy / "cells" / key / "cell.json"
    cell.write_text(cell.read_text().replace(key, key[::-1]))
    assert store.find(key) is None


def test_a_damaged_head_is_written_anew_beside_its_cells(copy: Path) -> None:
    whole = (copy / "experiment.json").read_text()
    for damaged in ("", whole[:100], '{"format": 2}', "[]"):
        (copy / "experiment.json").write_text(damaged)
        assert Store(copy).found() is None
    shutil.rmtree(copy / "cells")
    with pytest.raises(ResultsError, match="holds something else"):
        Store(copy).found()


def test_samples_of_another_run_are_not_shown_as_these(copy: Path, results: Results) -> None:
    """Whole and well-formed, and still not what was filed."""
    cell = copy / "cells" / changed(results)[1].key
    (samples,) = cell.glob("samples_*.gz")
    text = gzip.decompress(samples.read_bytes())
    samples.write_bytes(gzip.compress(text.replace(b'"exact_match": 0.0', b'"exact_match": 1.0')))
    found = CliRunner().invoke(rvec, ["report", str(copy), "--no-vector"]).exception
    assert isinstance(found, ResultsError)
    assert found.facts == (f"{samples}: it is not the file that cell.json names",)


@pytest.mark.parametrize("name", ["../../victim", "/tmp/victim", "..", "a/b", "a b", "x\u202e"])
def test_a_name_that_is_none_is_refused_wherever_it_is_read(copy: Path, name: str) -> None:
    for file in ("experiment.json", "summary.json", "flips.json"):
        path = copy / file
        whole = path.read_text()
        path.write_text(whole.replace('"rvec_tiny"', json.dumps(name)))
        with pytest.raises(ResultsError, match="damaged"):
            read_results(copy)
        path.write_text(whole)
    path = copy / "flips.json"
    path.write_text(path.read_text().replace('"key": "', '"key": "../../'))
    with pytest.raises(ResultsError, match="damaged"):
        read_results(copy)


@over_http
def test_a_card_is_not_written_through_a_linked_folder(
    hub: Hub, copy: Path, tmp_path: Path
) -> None:
    hub.put("datasets/openai/gsm8k", {"eval.yaml": EVAL.encode()})
    model, outside = tmp_path / "merged", tmp_path / "outside"
    for folder in (model, outside):
        folder.mkdir()
    found = on_the_hub(copy, model, None)
    (model / ".eval_results").symlink_to(outside)
    with pytest.raises(OutputError, match="leads out of the folder"):
        write_card(found, model)
    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in model.iterdir()) == [".eval_results", "mergekit_config.yml"]


def bomb(path: Path, line: bytes, repeats: int) -> Path:
    """Many times the same, packed to a thousandth."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(repeats):
            file.write(line)
    return path


def test_rows_files_and_totals_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LINE", 1000), ("OBJECT", 1000), ("FILE", 5000)):
        monkeypatch.setattr(reading, name, value)
    row = b'{"a": "' + b"x" * 90 + b'"}\n'
    assert len(list(read_rows(bomb(tmp_path / "ok.jsonl.gz", row, 50)))) == 50
    for name, line, repeats, said in (
        ("row.jsonl.gz", b"x" * 1001, 1, "the row unpacks to more than 1,000 bytes"),
        ("file.jsonl.gz", row, 51, "the file unpacks to more than 5,000 bytes"),
    ):
        with pytest.raises(ResultsError, match=said):
            list(read_rows(bomb(tmp_path / name, line, repeats)))
    with pytest.raises(ResultsError, match="the file unpacks to more than 1,000 bytes"):
        read_as(bomb(tmp_path / "object.json.gz", row, 20), dict)
    budgets = (Budget(left=6000), "unpack to more"), (Budget(rows=60), "hold more than")
    for budget, said in budgets:
        list(read_rows(tmp_path / "ok.jsonl.gz", budget))
        with pytest.raises(ResultsError, match=said):
            list(read_rows(tmp_path / "ok.jsonl.gz", budget))


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    """3 MB that unpack to gigabytes, in a process that may have 700 MB more than it begins with."""
    row = json.dumps({"doc_id": 0, "filter": "none", "text": "x" * 1_000_000}).encode() + b"\n"
    path = bomb(tmp_path / "samples_bomb_2026-01-01T00-00-00.jsonl.gz", row, 1100)
    assert path.stat().st_size < 6_000_000
    code = (
        "import resource, sys\n"
        "from rvec_merge.cli import main\n"
        "import rvec_merge.tasks.samples\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (700 << 20),) * 2)\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", path, path], capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("The results are damaged."), done.stderr
