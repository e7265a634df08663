"""Perturbed sets: pairing, refusals, sharing, and that they never change unnoticed."""

import ast
import hashlib
import json
from typing import Any

import pytest

from rvec_merge.errors import TaskError
from rvec_merge.tasks.local_data import read_items, sample_data
from rvec_merge.tasks.perturb import (
    GENERATOR_VERSION,
    KINDS,
    SHOWN,
    PerturbationSpec,
    Refusal,
    perturb,
    realise,
)
from rvec_merge.tasks.perturb.code import reword

GSM8K = read_items(sample_data() / "gsm8k" / "test.jsonl")
HUMANEVAL = read_items(sample_data() / "humaneval" / "test.jsonl")
SCIQ = read_items(sample_data() / "sciq" / "test.jsonl")


def chain(kind: Any, seed: int = 0) -> PerturbationSpec:
    return PerturbationSpec(kind=kind, layout="chain", seed=seed)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_pair_with_the_clean_items(kind: Any) -> None:
    realised = realise(GSM8K, chain(kind))
    assert len(realised.rows) + sum(realised.refused.values()) == realised.offered == len(GSM8K)
    for row in realised.rows:
        clean = GSM8K[row["orig_id"]]
        assert row["perturbation"] == f"{kind} v{GENERATOR_VERSION} seed 0"
        assert row["question"] != clean["question"]
        if kind in {"typos", "distractor", "shuffle"}:
            assert row["answer"] == clean["answer"]
        else:
            assert row["answer"] != clean["answer"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_depends_on_seed_and_text_alone(kind: Any) -> None:
    whole = {row["orig_id"]: row["question"] for row in realise(GSM8K, chain(kind)).rows}
    for index, question in whole.items():
        assert perturb(GSM8K[index], chain(kind))["question"] == question  # type: ignore[index]
    other = {row["orig_id"]: row["question"] for row in realise(GSM8K, chain(kind, 1)).rows}
    assert whole != other


# From this generator. If one changes, raise GENERATOR_VERSION: shared sets name it.
GOLDEN = {
    "typos": "d1c8cf67cb73b43e",
    "distractor": "9636069ac8a8921d",
    "shuffle": "d0b7840614aeb85b",
    "numeric": "7a88ff165c415618",
    "range": "a0a15efe4fb5dfda",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_version_stands_for_these_texts(kind: Any) -> None:
    texts = [[row["question"], row["answer"]] for row in realise(GSM8K, chain(kind)).rows]
    found = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]
    assert (GENERATOR_VERSION, found) == (2, GOLDEN[kind])


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


def test_answer_choices_and_options_are_left_alone() -> None:
    spec = PerturbationSpec(
        kind="typos", fields=("support", "question"), protect=("correct_answer", "distractor1")
    )
    for row in realise(SCIQ, spec).rows:
        clean = SCIQ[row["orig_id"]]
        for word in clean["correct_answer"].split():
            assert row["support"].lower().count(word) == clean["support"].lower().count(word)
    navigate = read_items(sample_data() / "bbh" / "navigate" / "test.jsonl")
    spec = PerturbationSpec(kind="typos", fields=("input",), until="\nOptions:")
    for row in realise(navigate, spec).rows:
        assert row["input"].endswith("\nOptions:\n- Yes\n- No")


def test_a_realised_set_is_taken_as_it_is() -> None:
    rows = realise(GSM8K, chain("numeric", seed=5)).rows
    again = realise(rows, chain("numeric"))
    assert again.rows == rows
    with pytest.raises(TaskError, match="perturbed before"):
        realise(rows, chain("typos"))


def test_errors_say_what_to_do() -> None:
    with pytest.raises(TaskError, match="lacks: support"):
        perturb(GSM8K[0], PerturbationSpec(kind="typos", fields=("support",)))
    with pytest.raises(TaskError, match="needs a worked solution"):
        perturb(GSM8K[0], PerturbationSpec(kind="numeric"))
    with pytest.raises(TaskError, match="none of the 1 items"):
        realise([{"question": "Why?"}], PerturbationSpec(kind="shuffle"))
