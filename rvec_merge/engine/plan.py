"""mergekit's plan of a recipe, in the form in which the engine executes it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, cast

import torch
from torch import Tensor

from rvec_merge.engine.inputs import Input, open_input
from rvec_merge.engine.settings import Settings
from rvec_merge.errors import IncompatibleTensorsError, RecipeError
from rvec_merge.kernel import Delta, Source, accumulation_dtype, check_inputs
from rvec_merge.recipe import Recipe
from rvec_merge.resolve import ResolvedTensor, architecture_of
from rvec_merge.written import Wanted


class NotStreamable(Exception):
    """Why a recipe, or one of its tensors, is left to mergekit's executor."""


@dataclass(frozen=True)
class Stored:
    """Where one input of one tensor lies: the model, the name there, and the dtype to read as."""

    model: Input
    name: str
    dtype: torch.dtype | None

    def source(self) -> Source:
        """The tensor, for one thread to read."""
        return self.model.source(self.name, self.dtype)


@dataclass(frozen=True)
class PlannedTensor:
    """One tensor of the output.

    Attributes:
        name: its name in the output.
        shape, dtype: as it is written.
        inputs: where each model has it, the target among them, in mergekit's order.
        target: the target's reference.
        parameters: as mergekit resolved them: shared values, and mappings by reference.
        value: the tensor itself where nothing is to be streamed: a buffer that is copied.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    inputs: Mapping[Hashable, Stored]
    target: Hashable
    parameters: Mapping[str, Any]
    value: Tensor | None = None

    @property
    def numel(self) -> int:
        """Its elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes it takes in the output."""
        return self.numel * self.dtype.itemsize

    @cached_property
    def nbytes_read(self) -> int:
        """The bytes its inputs take in their files."""
        return sum(stored.model.nbytes(stored.name) for stored in self.inputs.values())

    @property
    def scale(self) -> float:
        """The scale mergekit resolved for this tensor."""
        return float(self.parameters["scale"])

    def open(self) -> tuple[Source, list[Delta]]:
        """The target and the deltas, for one thread to read."""
        from rvec_merge.method import deltas

        sources = {reference: stored.source() for reference, stored in self.inputs.items()}
        tensors = cast("Mapping[Hashable, Tensor]", sources)
        return sources[self.target], deltas(self.name, tensors, self.target, self.parameters)


@dataclass(frozen=True)
class MergePlan:
    """Everything a merge writes and reads, before a weight is read.

    Attributes:
        tensors: in the order of the model.
        inputs: every model the recipe names, by reference.
        config: the output's transformers configuration.
        tagalong: files that mergekit copies for this architecture.
    """

    tensors: tuple[PlannedTensor, ...]
    inputs: Mapping[Hashable, Input]
    config: Any
    tagalong: tuple[str, ...]

    @property
    def wanted(self) -> Mapping[str, Wanted]:
        """What must be in the files."""
        return {tensor.name: Wanted(tensor.shape, tensor.dtype) for tensor in self.tensors}

    @property
    def nbytes(self) -> int:
        """The bytes of all output tensors."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def nbytes_read(self) -> int:
        """The bytes of all inputs that are read."""
        return sum(tensor.nbytes_read for tensor in self.tensors)


def why_not_streamable(recipe: Recipe) -> str | None:
    """What in the recipe's text needs mergekit's executor; None if nothing does."""
    config = recipe.config
    if not recipe.is_reasoning_vector:
        return f"merge_method {config.merge_method} is mergekit's own"
    if config.tokenizer is not None or config.tokenizer_source is not None:
        return "the recipe asks for a tokenizer"
    adapters = [str(m) for m in config.referenced_models() if m.lora is not None]
    return f"{adapters[0]} applies an adapter" if adapters else None


def plan_merge(
    recipe: Recipe,
    resolved: Sequence[ResolvedTensor],
    settings: Settings,
    *,
    inputs: Mapping[Hashable, Input] | None = None,
    mapped: bool = False,
) -> MergePlan:
    """Find every resolved tensor's bytes; reads headers, and buffers that are only copied.

    Args:
        inputs: every model the recipe names, where they are open already.
        mapped: the plan is executed again and again; see ``Input``.

    Raises:
        NotStreamable: mergekit's executor must do it.
        CheckpointError: an input cannot be read.
        RecipeError: the donors that have a tensor do not form pairs.
        IncompatibleTensorsError: the inputs of a tensor do not fit together.
    """
    if reason := why_not_streamable(recipe):
        raise NotStreamable(reason)
    if not resolved:  # a cache without the weights, say: nothing was checked, nothing is planned
        raise NotStreamable("the inputs' tensors could not be seen")
    # mergekit's own list is a set's, in another order each time.
    references = sorted(recipe.config.referenced_models(), key=str)
    inputs = inputs or {
        r: open_input(r, allow_pickle=settings.allow_pickle, mapped=mapped) for r in references
    }
    for reference, found in inputs.items():
        if found.pickled:
            raise NotStreamable(f"{reference} is pickled")
    architecture, config = output_config(recipe, settings)
    if getattr(architecture, "post_fill_parameters", False):
        raise NotStreamable("mergekit fills in parameters of this architecture afterwards")
    return MergePlan(
        tuple(_planned(tensor, inputs) for tensor in resolved),
        inputs,
        config,
        tuple(architecture.tagalong_files or ()),
    )


def output_config(recipe: Recipe, settings: Settings) -> tuple[Any, Any]:
    """mergekit's architecture of the inputs, and its transformers configuration of the output."""
    from mergekit.merge import _model_out_config

    architecture = architecture_of(recipe.config, settings.mergekit())
    return architecture, _model_out_config(recipe.config, architecture, settings.trust_remote_code)


def _planned(tensor: ResolvedTensor, inputs: Mapping[Hashable, Input]) -> PlannedTensor:
    from mergekit.common import dtype_from_name

    found: dict[Hashable, Stored] = {}
    for reference, wanted in tensor.inputs.items():
        name = next((name for name in wanted.names if name in inputs[reference].names), None)
        if name is not None:
            found[reference] = Stored(inputs[reference], name, dtype_from_name(wanted.dtype))
        elif not wanted.optional:
            raise NotStreamable(f"{reference} stores {wanted.names[0]} in another form")
    if tensor.target not in found:
        facts = [f"target: {tensor.target}", f"present in: {', '.join(map(str, found))}"]
        fix = "use a target and donors of one architecture."
        raise RecipeError(f"The target lacks {tensor.name}.", facts, fix)
    sources = {reference: stored.source() for reference, stored in found.items()}
    out_dtype: torch.dtype | None = dtype_from_name(tensor.out_dtype)
    dtypes = [source.dtype for source in sources.values()]
    buffer = None
    if not all(dtype.is_floating_point for dtype in dtypes):
        buffer = _agreed(tensor.name, sources, all(inputs[r].here for r in found))
    planned = PlannedTensor(
        name=tensor.name,
        shape=tuple(sources[tensor.target].shape),
        dtype=out_dtype or (accumulation_dtype(dtypes) if buffer is None else buffer.dtype),
        inputs=found,
        target=tensor.target,
        parameters=tensor.parameters,
        value=None if buffer is None else buffer.to(out_dtype or buffer.dtype),
    )
    if buffer is None:
        target, deltas = planned.open()
        check_inputs(target, deltas, name=tensor.name, target_name=str(tensor.target))
    return planned


def _agreed(name: str, sources: Mapping[Hashable, Source], here: bool) -> Tensor:
    """A buffer that is not floating point; mergekit copies it where all inputs agree.

    Of inputs that are not here, shapes and dtypes are compared, and the values are no one's.
    """
    values = {
        str(r): s[0 : s.numel()].reshape(s.shape).clone()
        if here
        else torch.zeros(tuple(s.shape), dtype=s.dtype)
        for r, s in sources.items()
    }
    first, *others = values.values()
    if any(other.dtype != first.dtype or not torch.equal(other, first) for other in others):
        raise IncompatibleTensorsError(
            f"The buffer {name} differs between inputs, and cannot be merged.",
            [
                f"{reference}: {value.dtype} {tuple(value.shape)}"
                for reference, value in values.items()
            ],
            "use models whose buffers agree.",
        )
    return first
