"""Models that think first: what ends it is configured once, for every filter and the answer."""

import pytest

from rvec_merge.answer.find import after
from rvec_merge.answer.judge import judge
from rvec_merge.tasks.harness import read_after
from rvec_merge.tasks.variants import load_variant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#### 3</end>\n#### 5", ("#### 5", False)),
        ("a</end>b</end> c", ("c", False)),
        ("#### 3, and then", ("", True)),
    ],
)
def test_what_is_said_follows_the_end(text: str, said: tuple[str, bool]) -> None:
    assert after(text, "</end>") == said


def test_an_answer_that_was_only_thought_is_none() -> None:
    found = judge("number", {}, "", "#### 5", ["perhaps #### 5"], "</end>")
    assert found == {
        "answer": 0.0, "no_answer": 1.0, "not_judged": 0.0, "thinking_unfinished": 1.0,
    }  # fmt: skip
    assert judge("number", {}, "", "#### 5", ["#### 5"])["answer"] == 1.0


def test_every_filter_reads_what_follows_once_however_often_it_is_told() -> None:
    task = load_variant("rvec_story")
    before = [len(ensemble.filters) for ensemble in task._filters]
    for _ in range(2):
        read_after(task, "</end>")
    assert [len(ensemble.filters) for ensemble in task._filters] == [n + 1 for n in before]
    first = task._filters[0].filters[0]()
    assert first.apply([["x</end> y", "z"]], [{}]) == [["y", ""]]


@pytest.mark.parametrize(
    ("outputs", "answer", "any_right", "most"),
    [
        (["#### 5", "#### 4", "#### 5.0", "#### 4"], 0.5, 1.0, 1.0),
        (["#### 4", "#### 5", "#### 4"], 1 / 3, 1.0, 0.0),
        (["nothing", "nothing", "#### 5"], 1 / 3, 1.0, 1.0),
        (["#### 4", "#### 4"], 0.0, 0.0, 0.0),
    ],
)
def test_several_outputs(outputs: list[str], answer: float, any_right: float, most: float) -> None:
    found = judge("number", {}, "", "#### 5", outputs)
    assert found["answer"] == pytest.approx(answer)
    assert (found["answer_pass"], found["answer_majority"]) == (any_right, most)
