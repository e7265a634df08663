"""Which outputs are right, whatever form they have, and which are not, whatever they hold."""

import pytest

from rvec_merge.answer import compare
from rvec_merge.answer.judge import judge

NUMBER = [
    ("So she makes $18.\n#### 18", "18", 1),
    ("It is \\[\\boxed{18}\\]", "18", 1),
    ("The answer is $\\boxed{18}$ dollars.", "18", 1),
    ("Janet makes **$18** every day.", "18", 1),
    ("**Step 3: total**\n9 * 2 = 18", "18", 1),
    ("#### 3. Total\nThe total is 18", "18", 1),
    ("### Final Answer\n\n**18**", "18", 1),
    ("**Final Answer:** 70 000 dollars", "70000", 1),
    ("The answer is 18%.", "18", 1),
    ("The answer is: 1,234", "1234", 1),
    ("Answer: 2 1/2 hours", "2.5", 1),
    ("The final answer is $\\frac{36}{2}$", "18", 1),
    ("a profit of #### $10,000/day from these", "10000", 1),
    ("The answer is 18 because 9*2=18 and 3+4=7", "18", 1),
    ("The answer is eighteen.", "18", 1),
    ("She arrives at #### 2:00 pm", "2", 1),
    ("The answer is 1.5 million dollars.", "1500000", 1),
    ("\\boxed{18}\nWait, that is wrong. \\boxed{20}", "20", 1),
    ("\\boxed{18}\nWait, that is wrong. \\boxed{20}", "18", 0),
    ("The answer is 18 or 20.", "18", 0),
    ("The answer is 18, 20.", "18", 0),
    ("The answer is between 15 and 18.", "18", 0),
    ("The answer is 18-20", "18", 0),
    ("The answer is not 18.", "18", 0),
    ("It takes 18 to 20", "20", 0),
    ("It arrives at 5:30", "30", 0),
    ("\\boxed{18 \\text{ or } 20}", "18", 0),
    ("\\boxed{[0,100]}", "18", 0),
    ("\\boxed{x}", "18", 0),
    ("\\boxed{\\pm 18}", "18", 0),
    ("<think>The answer is 18</think> It is 20", "18", 0),
    ("<think>The answer is 18", "18", 0),
    ("Not enough is told, so the answer is: None", "None", 1),
    ("The answer is 18.", "None", 0),
]
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
WORDS = [
    ("So the answer is **True**.", "True", 1),
    ("Yes, because both lie.", "Yes", 1),
    ("The answer is: Not true", "False", 0),
    ("The answer is either yes or no.", "yes", 0),
    ("</think>\nThe argument is invalid.", "valid", 0),
    ("The answer is: apple, pear, zebra", "apple pear zebra", 1),
    ("The answer is ] ) }", "] ) }", 1),
]
CHOICE = [
    ("The answer is (B).", "(B)", 1),
    ("Option B is correct.", "(B)", 1),
    ("A is wrong, since it is inert. Option (B) is the right one.", "(B)", 1),
    ("Correct choice: B", "(B)", 1),
    ("<think>A?</think>**B**", "B", 1),
    ("**B) oxygen**", "B", 1),
    ("The answer is A or B.", "(B)", 0),
    ("The answer is A plant.", "(A)", 0),
    ("The answer is oxygen.", "(B)", 1),
]


@pytest.mark.parametrize(("output", "gold", "right"), NUMBER)
def test_numbers(output: str, gold: str, right: int) -> None:
    assert judge("number", {}, "", f"Worked out.\n#### {gold}", [output])["answer"] == right


@pytest.mark.parametrize(("output", "gold", "right"), MATH)
def test_formulas(output: str, gold: str, right: int) -> None:
    assert judge("math", {}, "", gold, [output])["answer"] == right


@pytest.mark.parametrize(("output", "gold", "right"), WORDS)
def test_words(output: str, gold: str, right: int) -> None:
    assert judge("words", {}, "", gold, [output])["answer"] == right


@pytest.mark.parametrize(("output", "gold", "right"), CHOICE)
def test_choices(output: str, gold: str, right: int) -> None:
    prompt = "Q: What do we breathe?\nOptions:\n(A) helium\n(B) oxygen\nA:"
    assert judge("choice", {}, prompt, gold, [output])["answer"] == right


def test_no_answer_is_told_from_a_wrong_one() -> None:
    assert judge("number", {}, "", "5", ["I do not know."])["no_answer"] == 1
    assert judge("number", {}, "", "5", ["Six: 6"])["no_answer"] == 0
    assert judge("number", {}, "", "5", ["<think>5"])["thinking_unfinished"] == 1


def test_an_endless_comparison_is_not_judged_and_the_next_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compare, "SECONDS", 1)
    monkeypatch.setattr(compare, "_CHILD", compare._Child())
    tower = judge("math", {}, "", "5", ["\\boxed{9^{9^{9^{9}}}}"])
    assert "answer" not in tower
    assert tower["not_judged"] == 1
    assert judge("math", {}, "", "\\sqrt{7}", ["\\boxed{7^{1/2}}"])["answer"] == 1
