"""The method's parameters: where each is given, and what it may be."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rvec_merge.arithmetic.control_kinds import CONTROL_KINDS
from rvec_merge.errors import RecipeError
from rvec_merge.recipe.pairs import ROLES

CONTROLS = ("none", *CONTROL_KINDS)
MISSING = object()  # a parameter that has no default, and was not given


@dataclass(frozen=True)
class Parameter:
    """One parameter of ``reasoning_vector``.

    Attributes:
        per_donor: each donor has its own; else the recipe has one for all of them.
        default: what it is where the recipe gives none, or no filter matches; ``MISSING`` if it
            must be given.
    """

    name: str
    kind: type
    per_donor: bool
    default: Any

    def validate(self, value: Any) -> Any:
        """The value as the arithmetic takes it.

        Raises:
            RecipeError: it is none of this parameter.
        """
        return _VALIDATORS[self.name](self.name, value)


def _number(name: str, value: Any) -> float:
    if value is MISSING:
        raise RecipeError(
            f"The recipe gives no {name}.",
            ["there is no default: a misspelt key would silently merge at full strength"],
            f"add it under the recipe's top-level parameters: {{{name}: 1.0}}, with a value for "
            "every tensor if it is filtered.",
        )
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RecipeError(
            f"{name} is not a number.",
            [f"{name}: {value!r}"],
            f"write a finite number, e.g. {name}: 0.5.",
        )
    return number


def _weight(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value)


def _density(name: str, value: Any) -> float:
    density = _number(name, value)
    if not 0 < density <= 1:
        raise RecipeError(
            "density is out of range.",
            [f"density: {value!r}"],
            "write the share of elements to keep, above 0 and at most 1.",
        )
    return density


def _role(name: str, value: Any) -> str | None:
    return None if value is None else _choice(name, value, ROLES)


def _control(name: str, value: Any) -> str:
    # YAML reads `control: null` and `control: ~` as None.
    return _choice(name, "none" if value is None else value, CONTROLS)


def _choice(name: str, value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise RecipeError(
            f"Unknown {name} {value!r}.",
            [f"{name} is one of {', '.join(choices)}"],
            f"correct the {name}.",
        )
    return str(value)


def _seed(name: str, value: Any) -> int:
    # A float holds whole numbers to 2^53 only.
    whole = isinstance(value, int) and not isinstance(value, bool)
    try:
        seed = value if whole else _number(name, value)
    except RecipeError:
        seed = -1
    if seed != int(seed) or seed < 0:
        raise RecipeError(
            "seed is not a whole number.", [f"seed: {value!r}"], "write e.g. seed: 0."
        )
    return int(seed)


def _pair_name(name: str, value: Any) -> str:
    return str(value)


_VALIDATORS: dict[str, Callable[[str, Any], Any]] = {
    "role": _role,
    "pair": _pair_name,
    "weight": _weight,
    "scale": _number,
    "density": _density,
    "control": _control,
    "seed": _seed,
}
PARAMETERS = (
    Parameter("role", str, True, None),
    Parameter("pair", str, True, "default"),
    Parameter("weight", float, True, None),
    Parameter("scale", float, False, MISSING),
    Parameter("density", float, False, 1.0),
    Parameter("control", str, False, "none"),
    Parameter("seed", int, False, 0),
)
