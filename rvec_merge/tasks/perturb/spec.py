"""What a task file says about its perturbation, and what a perturbation may answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

GENERATOR_VERSION = 2
"""Raised whenever any perturbation gives another text for the same seed and item."""

Seeded = Literal["typos", "distractor", "shuffle", "numeric", "range"]
KINDS: tuple[Seeded, ...] = get_args(Seeded)
HumanMade = Literal[
    "gsm_plus:numeric",
    "gsm_plus:digits",
    "gsm_plus:fractions",
    "gsm_plus:adding",
    "gsm_plus:reversing",
    "gsm_plus:paraphrase",
    "gsm_plus:distractor",
]
Perturbation = Seeded | HumanMade
# What GSM-Plus calls them, in its small split and in its whole set. Its eighth, "critical
# thinking", takes away what an answer needs: there is none to score.
GSM_PLUS: Mapping[Perturbation, tuple[str, ...]] = {
    "gsm_plus:numeric": ("numerical substitution", "numerical variation"),
    "gsm_plus:digits": ("digit expansion",),
    "gsm_plus:fractions": ("integer-decimal-fraction conversion",),
    "gsm_plus:adding": ("adding operation",),
    "gsm_plus:reversing": ("reversing operation",),
    "gsm_plus:paraphrase": ("problem understanding",),
    "gsm_plus:distractor": ("distraction insertion", "distractor insertion"),
}


def suffix(kind: Perturbation) -> str:
    """What a perturbation adds to a task's name: ``_typos``, ``_gsm_plus_paraphrase``."""
    return f"_{kind.replace(':', '_')}"


class PerturbationSpec(BaseModel):
    """The ``perturbation`` key of a task file.

    Attributes:
        kind: which perturbation.
        layout: how an item is written. ``text``: prose in ``fields``; ``math``: prose with
            ``$formulas$``; ``chain``: GSM8K's ``question`` and ``answer`` with ``<<expr=value>>``;
            ``program``: the embedded family's items; ``code``: HumanEval's ``prompt``.
        fields: columns that are changed; of several, typos reach all, the others the first
            that can be changed.
        until: text from which on a field stays as it is, such as a list of options.
        protect: columns whose words typos leave alone everywhere.
        seed: another seed gives another set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Perturbation
    layout: Literal["text", "math", "chain", "program", "code"] = "text"
    fields: tuple[str, ...] = Field(default=("question",), min_length=1)
    until: str | None = None
    protect: tuple[str, ...] = ()
    seed: int = 0

    @property
    def label(self) -> str:
        """What a realised item carries, so that a shared file says how it was made."""
        made = "as published" if self.kind in GSM_PLUS else f"v{GENERATOR_VERSION} seed {self.seed}"
        return f"{self.kind} {made}"


@dataclass(frozen=True)
class Refusal:
    """Why an item was left out of the perturbed set."""

    reason: str
