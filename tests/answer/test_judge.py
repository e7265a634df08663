"""The metrics of an item: right, no answer, only thought, and of several outputs."""

import pytest

from rvec_merge.answer.judge import judge


def test_no_answer_is_told_from_a_wrong_one() -> None:
    assert judge("number", {}, "", "5", ["I do not know."])["no_answer"] == 1
    assert judge("number", {}, "", "5", ["Six: 6"])["no_answer"] == 0
    assert judge("number", {}, "", "5", ["<think>5"])["thinking_unfinished"] == 1


def test_an_answer_that_was_only_thought_is_none() -> None:
    found = judge("number", {}, "", "#### 5", ["perhaps #### 5"], "</end>")
    assert found == {
        "answer": 0.0, "no_answer": 1.0, "not_judged": 0.0, "thinking_unfinished": 1.0,
    }  # fmt: skip
    assert judge("number", {}, "", "#### 5", ["#### 5"])["answer"] == 1.0


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
