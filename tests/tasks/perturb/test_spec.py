"""What a task file may say of its perturbation, and what its items carry."""

import pytest
from pydantic import ValidationError

from rvec_merge.tasks.perturb.spec import GENERATOR_VERSION, PerturbationSpec, suffix


def test_a_label_says_how_an_item_was_made() -> None:
    made = PerturbationSpec(kind="typos", seed=3)
    assert made.label == f"typos v{GENERATOR_VERSION} seed 3"
    assert PerturbationSpec(kind="gsm_plus:digits", seed=3).label == "gsm_plus:digits as published"
    assert suffix("gsm_plus:digits") == "_gsm_plus_digits"


@pytest.mark.parametrize("wrong", [{"fields": ()}, {"layout": "prose"}, {"rate": 0.5}])
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PerturbationSpec(kind="typos", **wrong)  # type: ignore[arg-type]
