"""The method's parameters: where each is given, what it may be, and what it is for one tensor.

Filters and gradients mean what they mean to mergekit.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rvec_merge.arithmetic.control_kinds import CONTROL_KINDS
from rvec_merge.errors import RecipeError
from rvec_merge.recipe.config import Conditional, RecipeConfig, Settings
from rvec_merge.recipe.pairs import ROLES
from rvec_merge.recipe.reference import Reference

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


class Resolver:
    """The parameters of each tensor of a recipe that has models, and no slices.

    Resolved once for all tensors that the same filters match at the same depth.
    """

    def __init__(self, config: RecipeConfig) -> None:
        self._shared: Settings = config.parameters or {}
        entries = config.models or []
        self._own = {entry.model: entry.parameters or {} for entry in entries}
        self._own.setdefault(config.target, {})
        given = [setting for s in (self._shared, *self._own.values()) for setting in s.values()]
        self._filters = sorted({part for setting in given for part in filters(setting)})
        self._known: dict[tuple[float, tuple[bool, ...]], Mapping[str, Any]] = {}

    @property
    def inputs(self) -> Sequence[Reference]:
        """Donors in the recipe's order; the target last, unless it is a donor itself."""
        return list(self._own)

    def parameters(self, name: str, depth: float) -> Mapping[str, Any]:
        """Shared values by name; per-donor ones as mappings by reference.

        Args:
            name: the tensor's.
            depth: of its layer: 0 for the first and outside the layers, 1 for the last.

        Raises:
            RecipeError: a value is none that its parameter may have, or is missing.
        """
        key = depth, tuple(part in name for part in self._filters)
        if key not in self._known:
            self._known[key] = {
                p.name: {r: self._value(p, name, depth, r) for r in self._own}
                if p.per_donor
                else self._value(p, name, depth, None)
                for p in PARAMETERS
            }
        return self._known[key]

    def _value(self, parameter: Parameter, name: str, depth: float, donor: Reference | None) -> Any:
        given = (self._shared,) if donor is None else (self._own[donor], self._shared)
        for settings in given:
            if parameter.name in settings:
                value = evaluated(parameter, settings[parameter.name], name, depth)
                if value is not None:
                    return value
        return parameter.validate(parameter.default)


def conditionals(setting: Any) -> list[Conditional]:
    """A setting's filtered values; none where it is a value or a gradient."""
    listed = setting if isinstance(setting, list) else [setting]
    return [entry for entry in listed if isinstance(entry, Conditional)]


def filters(setting: Any) -> Iterator[str]:
    """The parts of names that a setting asks for."""
    for condition in conditionals(setting):
        if condition.filter not in (None, "*"):
            yield condition.filter


def evaluated(parameter: Parameter, setting: Any, name: str, depth: float) -> Any:
    """A setting's value for one tensor; None where no filter matches its name.

    The first filter that is part of the name decides. A gradient's values stand evenly spread
    over the layers and are interpolated, text is not: the last one passed counts.

    Raises:
        RecipeError: see ``Parameter.validate``.
    """
    if conditions := conditionals(setting):
        for condition in conditions:
            if condition.filter in (None, "*") or (name and condition.filter in name):
                return evaluated(parameter, condition.value, name, depth)
        return None
    if not isinstance(setting, list):
        return parameter.validate(setting)
    values = [parameter.validate(value) for value in setting]
    if not values:
        return None
    place = depth * (len(values) - 1)
    low = int(place)
    if parameter.kind is str:
        return values[low]
    rest, high = place - low, min(low + 1, len(values) - 1)
    return parameter.validate((1 - rest) * values[low] + rest * values[high])
