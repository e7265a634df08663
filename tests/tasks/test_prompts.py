"""Where "Think step by step." goes."""

import pytest

from rvec_merge.errors import TaskError
from rvec_merge.tasks.prompts import with_shown_prompt, with_think


@pytest.mark.parametrize(
    ("template", "cue", "result"),
    [
        ("Q: {{q}}\nA:", "\nA:", "Q: {{q}}\nThink step by step.\nA:"),
        ("Q: {{q}}\nA: Well.\n", "\nA: Well.", "Q: {{q}}\nThink step by step.\nA: Well.\n"),
        ("A: \nA:", "\nA:", "A: \nThink step by step.\nA:"),
        ("{{q}}", None, "{{q}}\nThink step by step."),
        ("```\n{{p}}\n```\n", None, "```\n{{p}}\n```\nThink step by step.\n"),
    ],
)
def test_the_sentence_stands_before_the_cue(template: str, cue: str | None, result: str) -> None:
    assert with_think(template, cue) == result


def test_functions_are_wrapped() -> None:
    written = with_think(lambda doc: f"{doc['q']}\nA:", "\nA:")
    assert callable(written)
    assert written({"q": "Why\nA: no"}) == "Why\nA: no\nThink step by step.\nA:"


def test_code_gets_a_comment_line() -> None:
    assert with_think("{{prompt}}", None, comment=True) == "# Think step by step.\n{{prompt}}"


def test_another_ending_is_an_error() -> None:
    with pytest.raises(TaskError, match="does not end"):
        with_think("Q: {{q}}\nReply:", "\nA:")
    with pytest.raises(TaskError, match="does not end"):
        with_think("Q: {{q}}\nA: then more", "\nA:")


def test_only_the_prompt_is_shown_otherwise() -> None:
    template = "{{ prompt }} {{prompt}} {{prompt_id}} {{ prompt[0] }}"
    assert with_shown_prompt(template, "s") == "{{ s }} {{ s }} {{prompt_id}} {{ prompt[0] }}"
