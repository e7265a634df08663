"""Perturbed sets: pairing, refusals, sharing, and that they never change unnoticed."""

import hashlib
import json
from typing import Any

import pytest

from rvec_merge.errors import TaskError
from rvec_merge.tasks.local_data import read_items, sample_data
from rvec_merge.tasks.perturb.items import perturb, realise
from rvec_merge.tasks.perturb.spec import GENERATOR_VERSION, KINDS, PerturbationSpec

GSM8K = read_items(sample_data() / "gsm8k" / "test.jsonl")
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
