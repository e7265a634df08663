"""Reading lm-eval's own output, whole, compressed, and damaged."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rvec_merge.errors import ResultsError
from rvec_merge.stats.significance import mean
from rvec_merge.tasks.samples import read_rows, read_run


def leaf(run: Path) -> Path:
    (folder,) = (path for path in run.iterdir() if path.is_dir())
    return folder


def samples_file(folder: Path, task: str) -> Path:
    (file,) = folder.rglob(f"samples_{task}_*.jsonl")
    return file


@pytest.fixture
def copy(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A run's folder, to be damaged."""
    return shutil.copytree(leaf(runs["a"]), tmp_path / "run")


def test_reads_what_lm_eval_reports(runs: dict[str, Path]) -> None:
    run = read_run(runs["a"])
    (results_file,) = runs["a"].rglob("results_*.json")
    results = json.loads(results_file.read_text())["results"]
    assert set(run.tasks) == {"rv_choice_first", "rv_choice_second", "rv_generate"}
    assert run.groups == {"rv_both": ("rv_choice_first", "rv_choice_second")}
    seen = set()
    for name, task in run.tasks.items():
        for chosen, found in task.filters.items():
            assert found.doc_ids.tolist() == list(range(24))
            for metric in found.metrics:
                reported = results[name][f"{metric},{chosen}"]
                assert mean(found.outcomes(metric)).mean == pytest.approx(reported)
                seen.add((chosen, metric))
    assert seen == {
        ("none", "acc"), ("none", "acc_norm"), ("strict", "exact_match"), ("loose", "exact_match"),
    }  # fmt: skip


def test_standard_error_is_lm_evals(runs: dict[str, Path], harness) -> None:
    from lm_eval.api.metrics import mean_stderr

    found = read_run(runs["a"]).tasks["rv_choice_first"].filters["none"].outcomes("acc")
    assert mean(found).standard_error == pytest.approx(mean_stderr(found.values.tolist()))


def test_repeated_documents_are_counted_not_dropped(runs: dict[str, Path]) -> None:
    found = read_run(runs["a"]).tasks["rv_choice_first"].filters["none"]
    assert found.repeats == 1
    assert found.doc_ids.size == 24


def test_compressed_is_the_same(copy: Path) -> None:
    plain = read_run(copy)
    for file in list(copy.iterdir()):
        (copy / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed = read_run(copy)
    assert packed.groups == plain.groups
    for name, task in plain.tasks.items():
        for chosen, found in task.filters.items():
            other = packed.tasks[name].filters[chosen]
            assert np.array_equal(other.prompt_hashes, found.prompt_hashes)
            assert all(np.array_equal(other.metrics[m], v) for m, v in found.metrics.items())


def test_one_file_and_any_name(copy: Path, tmp_path: Path) -> None:
    file = samples_file(copy, "rv_generate")
    assert list(read_run(file).tasks) == ["rv_generate"]
    alone = shutil.copy(file, tmp_path / "mine.jsonl")
    assert list(read_run(Path(alone)).tasks) == ["mine"]


def test_text_with_unicode_line_ends_is_one_row(copy: Path) -> None:
    file = samples_file(copy, "rv_generate")
    rows = [json.loads(line) for line in file.read_text().split("\n")[:-1]]
    for row in rows:
        row["resps"] = [["one\u2028two\x85three"]]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    file.write_text(text, encoding="utf-8")
    assert read_run(file).tasks["rv_generate"].filters["loose"].doc_ids.size == 24


def test_perturbed_items_keep_the_number_of_their_origin(harness) -> None:
    run = read_run(harness.run("a", "perturbed", perturbed=True))
    found = run.tasks["rv_choice_first"].filters["none"]
    assert found.doc_ids.tolist() == list(range(22))
    assert found.items.tolist() == [i for i in range(24) if i not in (2, 7)]
    assert found.outcomes("acc").items.tolist() == found.items.tolist()


def test_a_metric_without_a_number_per_item_is_left_out(runs: dict[str, Path]) -> None:
    rows = read_json_lines(samples_file(runs["a"], "rv_choice_first"))
    for row in rows:
        row["metrics"] = [*row["metrics"], "perplexity"]
        row["perplexity"] = [-3.0, 7]
    found = read_rows("t", rows, source="memory").filters["none"]
    assert set(found.metrics) == {"acc", "acc_norm"}


def test_numpy_scores_of_a_task_just_evaluated_count_as_numbers(runs: dict[str, Path]) -> None:
    rows = read_json_lines(samples_file(runs["a"], "rv_choice_first"))
    for row in rows:
        row["acc"], row["acc_norm"] = np.bool_(row["acc"]), np.float32(row["acc_norm"])
    found = read_rows("t", rows, source="memory").filters["none"]
    expected = read_run(runs["a"]).tasks["rv_choice_first"].filters["none"]
    for metric in ("acc", "acc_norm"):
        assert np.array_equal(found.metrics[metric], expected.metrics[metric])


def read_json_lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def cut_line(file: Path) -> None:
    file.write_text(file.read_text()[:-40])


def cut_rows(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:20]))


def twice(file: Path) -> None:
    file.write_text(file.read_text() * 2)


def edit(**changes):
    def apply(file: Path) -> None:
        rows = read_json_lines(file)
        for key, value in changes.items():
            if value is None:
                del rows[-1][key]
            else:
                rows[-1][key] = value
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return apply


@pytest.mark.parametrize(
    ("damage", "results", "message"),
    [
        (cut_line, False, "The results are damaged"),
        (cut_rows, True, "are not those its results were computed from"),
        (twice, False, "holds 24 items more than once"),
        (edit(prompt_hash="0"), True, "are not those its results were computed from"),
        (edit(filter=None), False, "Row 48 of rv_generate is no sample of lm-eval"),
        (edit(doc_id="x"), False, "Row 48 of rv_generate is no sample of lm-eval"),
        (edit(doc_id=99), False, "Filters of rv_generate do not hold the same items"),
        (edit(exact_match=float("nan")), False, "is not a finite number on 1 items"),
        (edit(metrics=[]), False, "were not scored by the same metrics"),
        (lambda file: file.write_text(""), False, "rv_generate has no samples"),
        (lambda file: file.write_text("[1]\n"), False, "The results are damaged"),
        (lambda file: file.write_bytes(b"\xff\xfe"), False, "The results are damaged"),
    ],
)
def test_damage_is_refused(copy: Path, damage, results: bool, message: str) -> None:
    if not results:
        next(copy.glob("results_*.json")).unlink()
    damage(samples_file(copy, "rv_generate"))
    with pytest.raises(ResultsError, match=message) as caught:
        read_run(copy)
    assert caught.value.facts
    assert caught.value.fix


def test_damaged_compression_is_refused(copy: Path) -> None:
    file = samples_file(copy, "rv_generate")
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(file.read_bytes())[:-200])
    file.unlink()
    with pytest.raises(ResultsError, match="The results are damaged"):
        read_run(copy)


def test_two_runs_in_one_folder_are_refused(runs: dict[str, Path]) -> None:
    with pytest.raises(ResultsError, match="more than once") as caught:
        read_run(runs["a"].parent)
    assert len(caught.value.facts) >= 2


@pytest.mark.parametrize("made", [True, False])
def test_nothing_there_is_refused(tmp_path: Path, made: bool) -> None:
    path = tmp_path / "empty"
    if made:
        path.mkdir()
    with pytest.raises(ResultsError, match="No samples of lm-eval"):
        read_run(path)
