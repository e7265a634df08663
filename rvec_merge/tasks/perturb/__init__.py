"""Perturbations of evaluation items: exact, seeded, keeping or recomputing the answer."""

from rvec_merge.tasks.perturb.items import LABEL, ORIGIN, SHOWN, Realised, perturb, realise
from rvec_merge.tasks.perturb.spec import (
    GENERATOR_VERSION,
    KINDS,
    PerturbationSpec,
    Refusal,
)

__all__ = [
    "GENERATOR_VERSION",
    "KINDS",
    "LABEL",
    "ORIGIN",
    "SHOWN",
    "PerturbationSpec",
    "Realised",
    "Refusal",
    "perturb",
    "realise",
]
