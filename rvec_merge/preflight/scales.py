"""The resolved scale, layer by layer and module group by module group, small enough to read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rvec_merge.plan.tensors import ResolvedTensor
from rvec_merge.recipe.pairs import pairs_of

COLUMNS = ("attention", "mlp", "norm", "other")
_LAYER = re.compile(r"\.(\d+)\.")
_ROWS = 12  # at most this many rows of layers


@dataclass(frozen=True)
class ScaleRow:
    """Some weights and the distinct scales they get, per column; no column: outside the layers."""

    label: str
    cells: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class ScaleTable:
    """Scale × weight of one pair, in the order of the model."""

    pair: str
    rows: tuple[ScaleRow, ...]


def coefficients(tensor: ResolvedTensor) -> dict[str, float]:
    """Scale × weight of each pair in one tensor; none in what is only copied."""
    if tensor.is_copied:
        return {}
    scale = tensor.parameters["scale"]
    pairs = pairs_of(tensor.inputs, tensor.target, tensor.parameters, where=tensor.name)
    return {pair.name: scale * pair.weight for pair in pairs}


def place(name: str) -> tuple[str, str]:
    """Where a tensor belongs: (layer number or part outside the layers, module group)."""
    layer = _LAYER.search(name)
    if layer is None:
        if "embed" in name or "wte" in name:
            return "embeddings", ""
        if "lm_head" in name or "embed_out" in name:
            return "lm_head", ""
        return ("final norm", "") if "norm" in name or "ln_f" in name else (name, "")
    for part in name[layer.end() :].split("."):
        if "norm" in part or part.startswith("ln"):
            return layer.group(1), "norm"
        if "attn" in part or "attention" in part:
            return layer.group(1), "attention"
        if any(word in part for word in ("mlp", "feed_forward", "ffn", "expert", "moe")):
            return layer.group(1), "mlp"
    return layer.group(1), "other"


def scale_tables(resolved: Sequence[ResolvedTensor]) -> Iterator[ScaleTable]:
    """One table per pair; pairs that get the same scales everywhere share one."""
    names = list(dict.fromkeys(name for tensor in resolved for name in coefficients(tensor)))
    made: dict[tuple[ScaleRow, ...] | str, list[str]] = {}
    tables = {name: _rows(resolved, name) for name in names}
    for name, rows in tables.items():
        made.setdefault(repr(rows), []).append(name)
    for shared in made.values():
        yield ScaleTable(", ".join(shared), tables[shared[0]])


def _rows(resolved: Sequence[ResolvedTensor], pair: str) -> tuple[ScaleRow, ...]:
    found: dict[str, dict[str, set[float]]] = {}
    for tensor in resolved:
        row, column = place(tensor.name)
        value = coefficients(tensor).get(pair, 0.0)
        found.setdefault(row, {}).setdefault(column, set()).add(value)
    values = {v for row in found.values() for cell in row.values() for v in cell}
    if len(values) == 1:
        return (ScaleRow("all weights", {"": tuple(values)}),)
    layers = [row for row in found if row.isdigit()]
    groups = _grouped(layers, found)
    if len(groups) > _ROWS:
        size = -(-len(layers) // _ROWS)
        groups = [layers[i : i + size] for i in range(0, len(layers), size)]
    rows = []
    for row in found:
        if not row.isdigit():
            rows.append(ScaleRow(row, _cells([found[row]])))
        elif row == layers[0]:
            rows += [ScaleRow(_label(g), _cells([found[i] for i in g])) for g in groups]
    return tuple(rows)


def _grouped(layers: list[str], found: Mapping[str, Mapping[str, set[float]]]) -> list[list[str]]:
    """Runs of consecutive layers that get the same scales."""
    groups: list[list[str]] = []
    for layer in layers:
        if groups and found[groups[-1][-1]] == found[layer]:
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def _cells(parts: Sequence[Mapping[str, set[float]]]) -> dict[str, tuple[float, ...]]:
    columns = dict.fromkeys(column for part in parts for column in part)
    return {c: tuple(sorted(set().union(*(p.get(c, set()) for p in parts)))) for c in columns}


def _label(layers: Sequence[str]) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]}–{layers[-1]}"
