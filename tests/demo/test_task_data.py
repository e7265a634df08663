"""The lm-eval data files: what the generator writes, and what stock lm-eval makes of them."""

import importlib.util
import json

import pytest

from demo import make_data, scoring
from demo.language import split_of
from demo.problems import run_program


def _rows(name):
    return [json.loads(line) for line in (make_data.DATA / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def utils(root):
    path = root / "eval" / "tasks" / "tiny" / "utils.py"
    spec = importlib.util.spec_from_file_location("rvec_tiny_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shipped_files_are_what_the_generator_writes(tmp_path):
    make_data.write(tmp_path)
    written = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert written == {p.name: p.read_bytes() for p in make_data.DATA.iterdir()}


def test_splits_share_no_question():
    for name in ("word_problems", "side"):
        splits = [
            {row["question"] for row in _rows(f"{name}_{split}.jsonl")} for split in make_data.SIZES
        ]
        assert len(set.union(*splits)) == sum(map(len, splits))


def test_items_carry_enough_to_be_perturbed():
    for split in make_data.SIZES:
        for row in _rows(f"word_problems_{split}.jsonl"):
            assert " ".join([*row["sentences"], row["query"]]) == row["question"]
            assert split_of(" ".join([*sorted(row["sentences"]), row["query"]])) == split
            results = run_program(tuple(row["program"]), tuple(row["numbers"]))
            assert str(results[-1]) == row["answer"]
            assert len(row["steps"]) == row["n_steps"] == scoring.count_steps(row["solution"])


@pytest.mark.parametrize("text", ["1+1=2\n#### 2", "#### red", "nothing", "####", "#### 1\n#### 2"])
def test_tasks_and_demo_read_answers_alike(utils, text):
    """The task file must stand alone in a wheel, so it repeats these two functions."""
    assert utils.read_answer(text) == scoring.read_answer(text)
    assert utils.count_steps(text) == scoring.count_steps(text)


def test_gold_solutions_score_full_marks(utils):
    for row in _rows("word_problems_test.jsonl"):
        found = utils.process_results(row, [row["solution"]])
        assert found == {"exact_match": 1.0, "has_answer": 1.0, "steps": row["n_steps"]}


def test_stock_lm_eval_finds_the_tasks_from_any_folder(root, tmp_path, monkeypatch):
    tasks = pytest.importorskip("lm_eval.tasks")
    monkeypatch.chdir(tmp_path)
    manager = tasks.TaskManager(
        include_path=str(root / "eval" / "tasks" / "tiny"), include_defaults=False
    )
    names = ["rvec_tiny", "rvec_tiny_think", "rvec_tiny_validation", "rvec_tiny_side"]
    assert set(names) <= set(manager.all_tasks)
    loaded = tasks.get_task_dict(names, manager)
    sizes = {name: len(list(loaded[name].test_docs())) for name in names}
    assert sizes == {
        "rvec_tiny": 600,
        "rvec_tiny_think": 600,
        "rvec_tiny_validation": 270,
        "rvec_tiny_side": 192,
    }
    document = next(iter(loaded["rvec_tiny_think"].test_docs()))
    prompt = loaded["rvec_tiny_think"].doc_to_text(document)
    assert prompt == f"{document['question']}\nThink step by step."
