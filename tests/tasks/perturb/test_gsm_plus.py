"""Variants made by people, paired with the items they vary."""

import pytest

from rvec_merge.errors import TaskError
from rvec_merge.tasks.perturb.gsm_plus import paired
from rvec_merge.tasks.perturb.items import LABEL, ORIGIN
from rvec_merge.tasks.perturb.spec import GSM_PLUS, PerturbationSpec, suffix
from rvec_merge.tasks.variants import load_variant

ITEMS = [{"question": f"Q {n}?", "answer": f"<<1+{n}=1>>\n#### {n}"} for n in range(4)]


def row(kind: str, seed: str, answer: str) -> dict[str, str]:
    names = GSM_PLUS[f"gsm_plus:{kind}"]
    return {
        "question": f"{kind} of {seed}",
        "solution": f"worked\n#### {answer}",
        "answer": answer,
        "perturbation_type": names[-1],
        "seed_question": seed,
    }


def test_a_variant_goes_with_the_item_it_varies() -> None:
    rows = [
        row("paraphrase", "Q  2?", "2"),  # the small split has other blanks
        row("paraphrase", "Q 0?", "0"),
        row("digits", "Q 1?", "100"),
        row("paraphrase", "Q 3?", "None"),
    ]
    done = paired(ITEMS, PerturbationSpec(kind="gsm_plus:paraphrase"), rows)
    assert [(r[ORIGIN], r["question"], r["answer"]) for r in done.rows] == [
        (0, "paraphrase of Q 0?", "worked\n#### 0"),
        (2, "paraphrase of Q  2?", "worked\n#### 2"),
    ]
    assert {r[LABEL] for r in done.rows} == {"gsm_plus:paraphrase as published"}
    assert done.refused == {
        "GSM-Plus has no variant of it": 1,
        "the variant has no numeric answer": 1,
    }
    assert paired(done.rows, PerturbationSpec(kind="gsm_plus:paraphrase"), []).rows == done.rows


def test_other_items_have_none() -> None:
    with pytest.raises(TaskError, match="varies none of the 4 items"):
        paired(ITEMS, PerturbationSpec(kind="gsm_plus:digits"), [row("digits", "Other?", "1")])


def test_every_kind_is_a_task_of_gsm8k(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVEC_EVAL_DATA", "sample")
    for kind in GSM_PLUS:
        task = load_variant(f"rvec_gsm8k_think{suffix(kind)}")
        assert (task.config.metadata or {})["perturbation"] == f"{kind} as published"
    done = load_variant("rvec_gsm8k_gsm_plus_paraphrase").realised()
    assert len(done.rows) == 2
