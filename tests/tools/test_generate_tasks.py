"""Generated files are fresh, and every task they hold is one that lm-eval can build."""

from pathlib import Path

import pytest

from rvec_merge.tasks.tasks_index import include_path, list_tasks
from tools.benchmarks import BBH_SUBTASKS
from tools.document_perturbations import page
from tools.generate_tasks import stale, task_files, write

REPOSITORY = Path(__file__).resolve().parents[2]


def test_task_files_are_fresh() -> None:
    assert stale(include_path()) == []


def test_staleness_is_seen(tmp_path: Path) -> None:
    write(tmp_path)
    assert stale(tmp_path) == []
    (tmp_path / "gsm8k" / "rvec_gsm8k.yaml").write_text("task: other\n")
    (tmp_path / "sciq" / "left_over.yaml").write_text("task: left_over\n")
    (tmp_path / "math" / "rvec_aime24.yaml").unlink()
    assert stale(tmp_path) == [
        "gsm8k/rvec_gsm8k.yaml",
        "math/rvec_aime24.yaml",
        "sciq/left_over.yaml",
    ]


def test_the_page_on_perturbations_is_fresh() -> None:
    assert (REPOSITORY / "docs" / "perturbations.md").read_text(encoding="utf-8") == page()


def test_files_are_named_by_their_tasks() -> None:
    for path, text in task_files():
        name = Path(path).stem
        assert f"\ntask: {name}\n" in text or f"\ngroup: {name}\n" in text


def test_groups_hold_all_subtasks() -> None:
    entries = list_tasks()
    for shots in ("cot_fewshot", "cot_zeroshot"):
        for think in ("", "_think"):
            group = f"rvec_bbh_{shots}{think}"
            members = {entry.name for entry in entries if entry.group == group}
            assert members == {f"rvec_bbh_{shots}_{name}{think}" for name in BBH_SUBTASKS}


@pytest.mark.parametrize("kind", ["task", "group"])
def test_every_name_has_a_line(kind: str) -> None:
    entries = [entry for entry in list_tasks() if entry.kind == kind]
    assert entries
    assert all(entry.summary and "\n" not in entry.summary for entry in entries)
