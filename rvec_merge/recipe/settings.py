"""What a recipe's parameters are for one tensor: filters and gradients, with mergekit's meaning."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rvec_merge.recipe.config import Conditional, RecipeConfig, Settings
from rvec_merge.recipe.parameters import PARAMETERS, Parameter
from rvec_merge.recipe.reference import Reference


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
