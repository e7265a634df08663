"""A recipe's plan: by names, or by mergekit where it must be; and as the engine executes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rvec_merge.arithmetic.dtypes import (
    Array,
    accumulation_dtype,
    is_floating_point,
    rounded,
)
from rvec_merge.arithmetic.kernel import Source, check_inputs
from rvec_merge.checkpoint.tensor import dtype_named
from rvec_merge.checkpoint.written import Wanted
from rvec_merge.errors import IncompatibleTensorsError, RecipeError
from rvec_merge.plan.by_names import resolve_by_names, shared_rows
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.tensors import PlannedTensor, ResolvedTensor, Stored
from rvec_merge.recipe.deltas import deltas
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Reference


class NotStreamable(Exception):
    """Why a recipe, or one of its tensors, is left to mergekit's executor."""


@dataclass(frozen=True)
class MergePlan:
    """Everything a merge writes and reads, before a weight is read.

    Attributes:
        tensors: in the order of the model.
        inputs: every model the recipe names, by reference.
        config: settings of the output's config.json that are not the target's, the dtype aside.
    """

    tensors: tuple[PlannedTensor, ...]
    inputs: Mapping[Reference, Input]
    config: Mapping[str, Any]

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


def why_not_streamable(recipe: Recipe, folders: Mapping[Reference, Path]) -> str | None:
    """What in the recipe needs mergekit's executor; None if nothing does.

    Args:
        folders: of the inputs' small files, tokenizers among them.
    """
    config = recipe.config
    if not recipe.is_reasoning_vector:
        return f"merge_method {config.merge_method} is mergekit's own"
    if not config.asks_for_tokenizer:
        return None
    if not config.rows_of_target:
        return "the recipe asks for a tokenizer that is not the target's"
    if shared_rows(recipe, folders) is None:
        return "the inputs' tokenizers could not be compared, or give one token two ids"
    return None


def why_by_mergekit(recipe: Recipe, models: Mapping[Reference, Input]) -> str | None:
    """Why mergekit plans the recipe, and its definitions decide what the output holds; or None."""
    if recipe.config.models is None:
        return "the recipe has slices or modules"
    pickled = (str(reference) for reference, model in models.items() if model.pickled)
    folders = {reference: model.folder for reference, model in models.items()}
    return why_not_streamable(recipe, folders) or next(
        (f"{name} is pickled" for name in pickled), None
    )


def resolve(
    recipe: Recipe,
    models: Mapping[Reference, Input],
    *,
    by_mergekit: bool,
    trust_remote_code: bool = False,
) -> list[ResolvedTensor]:
    """What is merged with what, tensor by tensor; nothing while an input has not been seen.

    Args:
        models: the inputs whose headers were read.
        by_mergekit: see ``why_by_mergekit``; a stock run's plan is mergekit's always.

    Raises:
        RecipeError: it cannot be planned.
    """
    if by_mergekit:
        from rvec_merge.plan.by_mergekit import resolve_by_mergekit

        return resolve_by_mergekit(recipe, models, trust_remote_code=trust_remote_code)
    seen = set(recipe.config.referenced_models()) <= models.keys()
    return resolve_by_names(recipe, models) if seen else []


def plan_merge(
    recipe: Recipe,
    resolved: Sequence[ResolvedTensor],
    inputs: Mapping[Reference, Input],
    *,
    config: Mapping[str, Any] | None = None,
) -> MergePlan:
    """Find every resolved tensor's bytes; reads headers, and buffers that are only copied.

    Args:
        inputs: every model that the recipe names.
        config: see ``MergePlan``.

    Raises:
        NotStreamable: mergekit's executor must do it.
        CheckpointError: an input cannot be read.
        RecipeError: the donors that have a tensor do not form pairs.
        IncompatibleTensorsError: the inputs of a tensor do not fit together.
    """
    folders = {reference: found.folder for reference, found in inputs.items()}
    if reason := why_not_streamable(recipe, folders):
        raise NotStreamable(reason)
    if not resolved:  # a cache without the weights, say: nothing was checked, nothing is planned
        raise NotStreamable("the inputs' tensors could not be seen")
    for reference, found in inputs.items():
        if found.pickled:
            raise NotStreamable(f"{reference} is pickled")
    tensors = tuple(_planned(tensor, inputs) for tensor in resolved)
    return MergePlan(tensors, inputs, config or {})


def _planned(tensor: ResolvedTensor, inputs: Mapping[Reference, Input]) -> PlannedTensor:
    found: dict[Reference, Stored] = {}
    for reference, wanted in tensor.inputs.items():
        name = next((name for name in wanted.names if name in inputs[reference].tensors), None)
        if name is not None:
            found[reference] = Stored(inputs[reference], name, dtype_named(wanted.dtype))
        elif wanted.run is not None and wanted.run.find(inputs[reference].tensors):
            first, dtype = wanted.run.names[0], dtype_named(wanted.dtype)
            found[reference] = Stored(inputs[reference], first, dtype, wanted.run)
        elif not wanted.optional:
            raise NotStreamable(f"{reference} stores {wanted.names[0]} in another form")
    if tensor.target not in found:
        facts = [f"target: {tensor.target}", f"present in: {', '.join(map(str, found))}"]
        fix = "use a target and donors of one architecture."
        raise RecipeError(f"The target lacks {tensor.name}.", facts, fix)
    found = _of_shared_rows(tensor, found)
    sources = {reference: stored.source() for reference, stored in found.items()}
    out_dtype = dtype_named(tensor.out_dtype)
    dtypes = [source.dtype for source in sources.values()]
    value = None
    if tensor.is_copied or not all(map(is_floating_point, dtypes)):
        value = _agreed(tensor.name, sources, all(inputs[r].here for r in found))
        value = value if tensor.is_copied else rounded(value, out_dtype or value.dtype)
    dtype = out_dtype or accumulation_dtype(dtypes)
    planned = PlannedTensor(
        name=tensor.name,
        shape=sources[tensor.target].shape,
        dtype=dtype if value is None else value.dtype,
        inputs=found,
        target=tensor.target,
        parameters=tensor.parameters,
        value=value,
    )
    if value is None:
        made = deltas(tensor.name, sources, tensor.target, tensor.parameters)
        target = sources[tensor.target]
        check_inputs(target, made, name=tensor.name, target_name=str(tensor.target))
    return planned


def _of_shared_rows(
    tensor: ResolvedTensor, found: Mapping[Reference, Stored]
) -> dict[Reference, Stored]:
    """The inputs, those with a vocabulary of their own by the rows that all of them have."""
    own = {r: rows for r in found if (rows := tensor.inputs[r].rows) is not None}
    if not own:
        return dict(found)
    heights = {r: stored.model.tensors[stored.name].shape[0] for r, stored in found.items()}
    least, height = min(heights.values()), heights[tensor.target]
    kept = {
        r: tuple((low, min(high, least)) for low, high in rows if low < least)
        for r, rows in own.items()
    }
    return {
        r: replace(stored, rows=(kept[r], height)) if r in kept else stored
        for r, stored in found.items()
    }


def _agreed(name: str, sources: Mapping[Reference, Source], here: bool) -> Array:
    """What is copied, because it is not floating point or the target's alone; all inputs agree.

    Of inputs that are not here, shapes and dtypes are compared, and the values are no one's.
    """
    values = {
        str(r): s[0 : s.size].reshape(s.shape).copy() if here else np.zeros(s.shape, s.dtype)
        for r, s in sources.items()
    }
    first, *others = values.values()
    if any(other.dtype != first.dtype or not np.array_equal(other, first) for other in others):
        raise IncompatibleTensorsError(
            f"The buffer {name} differs between inputs, and cannot be merged.",
            [f"{reference}: {value.dtype} {value.shape}" for reference, value in values.items()],
            "use models whose buffers agree.",
        )
    return first
