"""Perturbed docstrings in code that runs as it was."""

import ast
from typing import Any

import pytest

from rvec_merge.tasks.local_data import read_items, sample_data
from rvec_merge.tasks.perturb.code import reword
from rvec_merge.tasks.perturb.items import SHOWN, realise
from rvec_merge.tasks.perturb.spec import PerturbationSpec, Refusal

HUMANEVAL = read_items(sample_data() / "humaneval" / "test.jsonl")


@pytest.mark.parametrize("kind", ["typos", "distractor", "shuffle"])
def test_code_runs_as_it_was(kind: Any) -> None:
    spec = PerturbationSpec(kind=kind, layout="code", fields=("prompt",))
    rows = realise(HUMANEVAL, spec).rows
    for row in rows:
        clean = HUMANEVAL[row["orig_id"]]
        assert {key: row[key] for key in clean} == clean
        assert row[SHOWN] != clean["prompt"]
        assert row[SHOWN].partition(">>>")[2] == clean["prompt"].partition(">>>")[2]
        body = ast.parse(row[SHOWN] + clean["canonical_solution"])
        original = ast.parse(clean["prompt"] + clean["canonical_solution"])
        for tree in (body, original):
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    del node.body[0]
        assert ast.dump(body) == ast.dump(original)


def test_names_of_the_function_and_its_parameters_stay() -> None:
    prompt = (
        "def helper():\n    pass\n\n\n"
        'def tally(values, weight):\n    """Tally values by weight éé.\n'
        '    Example: tally([1], 2)\n    """\n'
    )
    seen: list[tuple[str, frozenset[str]]] = []

    def note(prose: str, names: frozenset[str]) -> str:
        seen.append((prose, names))
        return prose.upper()

    changed = reword(prompt, "tally", note)
    words = "Tally values by weight éé."
    assert seen == [(words, frozenset({"tally", "values", "weight", "helper"}))]
    assert changed == prompt.replace(words, words.upper())


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("def f(:\n", "the prompt does not parse"),
        ("def g():\n    return 1\n", "the function has no docstring"),
        ("def f():\n    return 1\n", "the function has no docstring"),
        ('def f():\n    """>>> f()\n    1\n    """\n', "the docstring has no prose"),
        ('def f():\n    """Some \\n escape."""\n', "the docstring holds escapes"),
    ],
)
def test_prompts_without_plain_prose_are_refused(prompt: str, reason: str) -> None:
    assert reword(prompt, "f", lambda prose, _: prose + "!") == Refusal(reason)


def test_a_change_that_would_reach_the_code_is_refused() -> None:
    prompt = 'def f():\n    """Some words."""\n'
    broken = reword(prompt, "f", lambda prose, _: prose + '"""\n    import os\n    """')
    assert broken == Refusal("the change would reach the code")
