"""What a task file says about its perturbation, and what a perturbation may answer."""

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

GENERATOR_VERSION = 1
"""Raised whenever any perturbation gives another text for the same seed and item."""

Perturbation = Literal["typos", "distractor", "shuffle", "numeric", "range"]
KINDS: tuple[Perturbation, ...] = get_args(Perturbation)


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
        return f"{self.kind} v{GENERATOR_VERSION} seed {self.seed}"


@dataclass(frozen=True)
class Refusal:
    """Why an item was left out of the perturbed set."""

    reason: str
