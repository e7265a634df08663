"""Formulas that are right in another form, wrong ones, and one that nobody can compute."""

import pytest

from rvec_merge.answer import compare
from rvec_merge.answer.judge import judge

MATH = [
    ("\\boxed{14/3}", "\\frac{14}{3}", 1),
    ("\\boxed{east}", "\\text{east}", 1),
    ("\\boxed{seat}", "\\text{east}", 0),
    ("The answer is $(C)$", "\\text{(C)}", 1),
    ("\\boxed{(3, \\pi/2)}", "\\left( 3, \\frac{\\pi}{2} \\right)", 1),
    ("\\boxed{(1,-2)}", "(-2,1)", 0),
    ("\\boxed{-2,1}", "1,-2", 1),
    ("\\boxed{1}", "1,-2", 0),
    ("\\boxed{4210}", "4210_{5}", 1),
    ("\\boxed{4210_6}", "4210_{5}", 0),
    ("\\boxed{90}", "90^\\circ", 1),
    ("\\boxed{[2,\\infty)}", "(2,\\infty)", 0),
    ("The answer is 3*sqrt(13).", "3\\sqrt{13}", 1),
    ("\\boxed{10080}", "10,\\!080", 1),
]


@pytest.mark.parametrize(("output", "gold", "right"), MATH)
def test_formulas(output: str, gold: str, right: int) -> None:
    assert judge("math", {}, "", gold, [output])["answer"] == right


def test_an_endless_comparison_is_not_judged_and_the_next_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compare, "SECONDS", 1)
    monkeypatch.setattr(compare, "_CHILD", compare._Child())
    tower = judge("math", {}, "", "5", ["\\boxed{9^{9^{9^{9}}}}"])
    assert "answer" not in tower
    assert tower["not_judged"] == 1
    assert judge("math", {}, "", "\\sqrt{7}", ["\\boxed{7^{1/2}}"])["answer"] == 1
