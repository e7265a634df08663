"""Where the final answer of an output stands."""

import pytest

from rvec_merge.answer.find import after
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


@pytest.mark.parametrize(("output", "gold", "right"), NUMBER)
def test_numbers(output: str, gold: str, right: int) -> None:
    assert judge("number", {}, "", f"Worked out.\n#### {gold}", [output])["answer"] == right
