"""A transformers model whose parameters are recomputed in place for each state."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.errors import IncompatibleTensorsError
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.weights import StateWeights, not_in_memory
from rvec_merge.plan.tensors import PlannedTensor
from rvec_merge.recipe.read import Recipe


class ResidentWeights:
    """The parameters of a loaded model, with the values that transformers loads of a merge.

    Args:
        recipe, allowed, dequantize, others: see ``StateWeights``.
        model: the target, loaded in the precision that is evaluated.

    Raises:
        PlanError: the recipe cannot be streamed, or a parameter is in no checkpoint.
        IncompatibleTensorsError: the model holds a tensor in another shape than its checkpoint.
        RvecError: what the preflight refuses.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: torch.nn.Module,
        *,
        allowed: Sequence[str] = (),
        dequantize: bool = False,
        others: Mapping[str, Recipe] | None = None,
    ) -> None:
        self._weights = StateWeights(recipe, allowed=allowed, dequantize=dequantize, others=others)
        stored = [tensor for tensor in self._weights.plan.tensors if tensor.value is None]
        self._places = _Places(model, stored)
        self.state: State | None = None
        self.effect: Effect | None = None

    def become(self, state: State) -> None:
        """Give the model the weights of ``state``; ``effect`` then says what became of its scale.

        Dtypes, Threads, Memory: see ``StateWeights.tensors``; where transformers fuses stored
            tensors (a layer's experts), both forms of one such group beside the model.
        """
        if state == self.state:
            return
        self.state = None  # a failure half-way leaves neither the old weights nor the new
        with closing(self._weights.tensors(state, self._places.memory)) as tensors:
            for name, value in tensors:
                self._places.put(name, value)
        self.effect, self.state = self._weights.effect, state


@dataclass
class _Group:
    """Stored tensors that transformers turns into parameters together.

    Attributes:
        converter: transformers' own.
        first: the name of the first parameter.
        patterns: by stored name, in the order in which they are converted, the pattern it matched.
        arrived: those that have been computed.
    """

    converter: Any
    first: str
    patterns: dict[str, str] = field(default_factory=dict)
    arrived: dict[str, Tensor] = field(default_factory=dict)

    def converted(self, tensors: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
        """The parameters that the tensors become, by name."""
        converter = deepcopy(self.converter)
        for name, pattern in self.patterns.items():
            converter.add_tensor(self.first, name, pattern, tensors[name])
        made = converter.convert(self.first, model=model, config=model.config)
        return {name: v[0] if isinstance(v, list) else v for name, v in made.items()}


class _Places:
    """Where in a model each stored tensor goes, as transformers would load it.

    A name that the model does not hold goes nowhere: transformers leaves it out.
    """

    def __init__(self, model: torch.nn.Module, stored: Sequence[PlannedTensor]) -> None:
        self._model = model
        self._held: dict[str, Tensor] = model.state_dict(keep_vars=True)
        self._direct: dict[str, str] = {}
        self._groups: dict[str, _Group] = {}
        self._written: set[int] = set()
        self._find(stored)
        lacking = [n for n, p in model.named_parameters() if id(p) not in self._written]
        if lacking:
            raise not_in_memory(
                [f"{len(lacking)} parameters have other names in the checkpoints", *lacking[:5]]
            )

    def memory(self, tensor: PlannedTensor) -> Tensor | None:
        """The parameter itself where it is stored as such, else memory for one part of it."""
        if tensor.name in self._direct:
            return self._held[self._direct[tensor.name]].data
        if (group := self._groups.get(tensor.name)) is not None:
            return torch.empty(tensor.shape, dtype=self._held[group.first].dtype)
        return None

    def put(self, name: str, value: Tensor) -> None:
        """Take note that a tensor is complete; the last of a group writes the parameters."""
        if (group := self._groups.get(name)) is None:
            return
        group.arrived[name] = value
        if len(group.arrived) == len(group.patterns):
            made = group.converted(group.arrived, self._model)
            group.arrived.clear()
            for target, parameter in made.items():
                self._held[target].data.copy_(parameter)

    def _find(self, stored: Sequence[PlannedTensor]) -> None:
        by_name = {tensor.name: tensor for tensor in stored}
        groups: dict[str, _Group] = {}
        for name, (target, converter, pattern) in _renamed(
            self._model, by_name, self._held
        ).items():
            if target not in self._held:
                continue
            if converter is None:
                self._direct[name] = target
                self._take(target, by_name[name].shape, name)
                continue
            group = groups.setdefault(target, _Group(converter, target))
            group.patterns[name] = pattern
            self._groups[name] = group
        for target, group in groups.items():
            meta = {n: torch.empty(by_name[n].shape, device="meta") for n in group.patterns}
            for made, parameter in group.converted(meta, self._model).items():
                self._take(made, tuple(parameter.shape), f"{len(meta)} tensors such as {target}")

    def _take(self, target: str, shape: tuple[int, ...], stored: str) -> None:
        """Write to a parameter from now on; one that another name writes to is parted from it.

        A checkpoint that stores both ends of a tie has two tensors, and transformers ties them
        only where they are equal.
        """
        held = self._held[target]
        if tuple(held.shape) != tuple(shape):
            raise IncompatibleTensorsError(
                f"The model and the checkpoint disagree on {target}.",
                [f"model {tuple(held.shape)}", f"checkpoint {tuple(shape)}, from {stored}"],
                "evaluate checkpoints that transformers loads without changing their tensors.",
            )
        if id(held) in self._written:
            place, _, leaf = target.rpartition(".")
            held = torch.nn.Parameter(held.detach().clone(), requires_grad=False)
            setattr(self._model.get_submodule(place), leaf, held)
            self._held[target] = held
        self._written.add(id(held))


def _renamed(
    model: Any, names: Iterable[str], held: Mapping[str, Tensor]
) -> dict[str, tuple[str, Any, str]]:
    """What transformers makes of stored names: the parameter, the converter or None, its pattern.

    In transformers' order, which is that of experts in a fused tensor. Before its version 5 names
    were parameters' names.
    """
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import (
            WeightConverter,
            WeightRenaming,
            dot_natural_key,
            rename_source_key,
        )
    except ImportError:
        return {name: (name, None, "") for name in names}
    mapping = get_model_conversion_mapping(model)
    renamings = [one for one in mapping if isinstance(one, WeightRenaming)]
    converters = [one for one in mapping if isinstance(one, WeightConverter)]
    by_pattern = {pattern: one for one in converters for pattern in one.source_patterns}
    prefix = model.base_model_prefix
    found = {}
    for name in sorted(names, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, prefix, held)
        if target not in held and name in held:  # it is a parameter's name already
            target, pattern = rename_source_key(name, [], [], prefix, held)
        found[name] = target, by_pattern.get(pattern), pattern or ""
    return found
