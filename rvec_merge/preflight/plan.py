"""What the plan says: filters that match nothing, sizes, time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod

import numpy as np

from rvec_merge.arithmetic.dtypes import (
    FLOAT32,
    SIXTEEN_BIT,
    DType,
    accumulation_dtype,
    is_weight,
)
from rvec_merge.checkpoint.tensor import dtype_named
from rvec_merge.errors import Finding, RecipeError
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.tensors import ResolvedTensor
from rvec_merge.preflight.reading import Row
from rvec_merge.preflight.scales import ScaleTable, scale_tables
from rvec_merge.recipe.config import METHOD, RecipeConfig
from rvec_merge.recipe.parameters import filters
from rvec_merge.recipe.reference import Reference

_PROBE = 1 << 18  # elements


@dataclass(frozen=True)
class PlanFacts:
    """A plan in figures.

    Attributes:
        tensors: tensors written.
        dtypes: the dtypes they are written in.
        output_bytes: their size.
        input_bytes: what is read, once each.
        seconds: the arithmetic's time, from a short probe of this machine; reading and writing
            on a slow disk add to it. None for a method other than ours.
        scales: the resolved scale by layer and module group, for each pair.
        options: density, control and seed, where they are not the defaults.
    """

    tensors: int
    dtypes: tuple[str, ...]
    output_bytes: int
    input_bytes: int
    seconds: float | None
    scales: tuple[ScaleTable, ...]
    options: tuple[str, ...]


def check_filters(config: RecipeConfig, resolved: Sequence[ResolvedTensor]) -> Iterator[Finding]:
    """Filters that no tensor's name contains; mergekit would use the default in silence."""
    names = {tensor.name for tensor in resolved}
    names |= {w.names[0] for tensor in resolved for w in tensor.inputs.values()}
    parts = sorted({part for name in names for part in name.split(".")})
    for where, parameters, _ in config.parameter_blocks():
        for name, setting in parameters.items():
            for wanted in filters(setting):
                if any(wanted in known for known in names):
                    continue
                near = get_close_matches(wanted, parts, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"names: {', '.join(parts[:12])}"
                yield RecipeError(
                    f"A filter of {name} matches no tensor.",
                    [f"{where}: filter: {wanted}", hint],
                    "correct it; a filter is a part of the tensor's name, matched literally.",
                )


def measure(
    config: RecipeConfig,
    models: Mapping[Reference, Input],
    resolved: Sequence[ResolvedTensor],
    rows: Sequence[Row],
) -> PlanFacts:
    """Sizes, dtypes, scales and time of a plan, and of what it reads (``reading.Reading``)."""
    written, read, elements = 0, 0, 0
    dtypes: dict[str, None] = {}
    planned = {tensor.name: tensor for tensor in resolved}
    for name, found in rows:
        present = [info for info in found.values() if info is not None]
        if not present:
            continue
        read += sum(info.nbytes for info in present)
        tensor = planned.get(name, resolved[0])
        first = found.get(tensor.target) or present[0]
        dtype = output_dtype(config, tensor.out_dtype, [info.dtype for info in present])
        count = prod(first.shape)
        elements += count
        written += count * dtype.itemsize
        dtypes[f"{dtype}"] = None
    ours = config.merge_method == METHOD
    return PlanFacts(
        tensors=len(resolved),
        dtypes=tuple(dtypes),
        output_bytes=written,
        input_bytes=read,
        seconds=elements / _speed(models, resolved) if ours and resolved else None,
        scales=tuple(scale_tables(resolved)) if ours else (),
        options=tuple(_options(resolved)) if ours else (),
    )


def output_dtype(config: RecipeConfig, out_dtype: str | None, stored: Sequence[DType]) -> DType:
    """The dtype that mergekit writes a tensor in."""
    given, rounded = dtype_named(out_dtype), dtype_named(config.dtype)
    if given is not None:
        return given
    read = list(stored) if rounded is None else [rounded]
    if config.merge_method == METHOD:
        return accumulation_dtype(read)
    widest = max(read, key=lambda dtype: dtype.itemsize)
    return FLOAT32 if set(SIXTEEN_BIT) <= {*read} and widest in SIXTEEN_BIT else widest


def _options(resolved: Sequence[ResolvedTensor]) -> Iterator[str]:
    given = [tensor.parameters for tensor in resolved]
    densities = sorted({p["density"] for p in given})
    if densities != [1.0]:
        yield f"density {', '.join(f'{density:g}' for density in densities)}"
    controls = sorted(
        {f"{p['control']}, seed {p['seed']}" for p in given if p["control"] != "none"}
    )
    yield from (f"control {control}" for control in controls)


def _speed(models: Mapping[Reference, Input], resolved: Sequence[ResolvedTensor]) -> float:
    """Elements per second of this plan's arithmetic, on one thread."""
    from rvec_merge.arithmetic.loop import BlockLoop
    from rvec_merge.arithmetic.threads import one_thread_each
    from rvec_merge.recipe.deltas import deltas

    tensor = max(resolved, key=lambda t: t.parameters["density"] < 1)
    stored = {}
    for reference, wanted in tensor.inputs.items():
        info = wanted.find(models[reference].tensors)
        known = info is not None and is_weight(info.dtype)
        stored[reference] = np.ones(_PROBE, info.dtype if info is not None and known else FLOAT32)
    made = deltas(tensor.name, stored, tensor.target, tensor.parameters)
    target = stored[tensor.target]
    loop = BlockLoop()
    with one_thread_each():
        for _ in loop.merge(target, made, FLOAT32):  # the first pays for kernel and memory
            pass
        start = time.perf_counter()
        for _ in loop.merge(target, made, FLOAT32):
            pass
        return _PROBE / (time.perf_counter() - start)
