"""Tensors that one checkpoint stores one by one and another as one: a layer's experts, mostly.

Which are the same is looked up in transformers' table of what it makes of stored names; it is
imported only where names do not match.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.checkpoint.places import Run
from rvec_merge.checkpoint.renamed import renamed

# What transformers does that leaves each stored tensor's elements in one run of the fused one's.
_STACKED = [("MergeModulelist", 0)], [("MergeModulelist", 0), ("Concatenate", 1)]


@dataclass(frozen=True)
class _Place:
    """A stored tensor in transformers' model: whose it is there, and which expert's and part."""

    model_name: str
    parts: int = 0
    order: tuple[int, int] = (0, 0)


def located(
    wanted: Mapping[str, TensorInfo], stored: Mapping[str, TensorInfo], model_type: str
) -> dict[str, Run]:
    """Where a checkpoint stores the wanted tensors; those that it lacks are left out.

    By the name itself, whatever the shape there; else by ``renamed``; else by ``regrouped``.
    """
    other = renamed(wanted, stored)
    direct = {n: n for n in wanted if n in stored} | other
    found = {n: Run((theirs,), 0, stored[theirs].shape) for n, theirs in direct.items()}
    read = {*direct.values(), *wanted}
    rest = regrouped(
        {n: i for n, i in wanted.items() if n not in found},
        {n: i for n, i in stored.items() if n not in read},
        model_type,
    )
    return found | rest


def regrouped(
    target: Mapping[str, TensorInfo], donor: Mapping[str, TensorInfo], model_type: str
) -> dict[str, Run]:
    """Where in a donor the target's tensors are that it stores under no name of theirs.

    Args:
        target, donor: what names did not match.
        model_type: the config's; transformers' table is by it.
    """
    if not target or not donor:
        return {}
    table = _table(model_type)
    ours, theirs = _by_model_name(target, table), _by_model_name(donor, table)
    found: dict[str, Run] = {}
    for name, mine in ours.items():
        if name in theirs:
            found.update(_runs(mine, theirs[name], target, donor))
    return found


def _runs(
    mine: Mapping[str, _Place],
    theirs: Mapping[str, _Place],
    target: Mapping[str, TensorInfo],
    donor: Mapping[str, TensorInfo],
) -> Iterator[tuple[str, Run]]:
    """One model tensor's names on both sides: one on either, or one on one and its parts."""
    if len(mine) == len(theirs) == 1:
        (ours,), (other,) = mine, theirs
        if target[ours].shape == donor[other].shape:
            yield ours, Run((other,), 0, donor[other].shape)
    elif len(theirs) == 1 and _fits(mine, target, donor[next(iter(theirs))]):
        (fused,) = theirs
        for place, name in enumerate(_in_order(mine)):
            yield name, Run((fused,), place * prod(target[name].shape), target[name].shape)
    elif len(mine) == 1 and _fits(theirs, donor, target[next(iter(mine))]):
        (fused,) = mine
        yield fused, Run(tuple(_in_order(theirs)), 0, target[fused].shape)


def _in_order(places: Mapping[str, _Place]) -> list[str]:
    return sorted(places, key=lambda name: places[name].order)


def _fits(
    places: Mapping[str, _Place], stored: Mapping[str, TensorInfo], fused: TensorInfo
) -> bool:
    """Whether the parts, all there and of one shape and dtype, make up the fused tensor."""
    first = stored[next(iter(places))]
    parts = next(iter(places.values())).parts
    if not parts or len(places) % parts or len(first.shape) != 2:
        return False
    experts = len(places) // parts
    whole = {place.order for place in places.values()}
    rows, columns = first.shape
    return (
        whole == {(expert, part) for expert in range(experts) for part in range(parts)}
        and all(stored[n].shape == first.shape for n in places)
        and all(stored[n].dtype == first.dtype for n in places)
        and fused.shape == (experts, parts * rows, columns)
    )


def _by_model_name(names: Iterable[str], table: list[Any]) -> dict[str, dict[str, _Place]]:
    found: dict[str, dict[str, _Place]] = defaultdict(dict)
    for name in names:
        place = _place(name, table)
        found[place.model_name][name] = place
    return found


def _place(name: str, table: list[Any]) -> _Place:
    renamed = name
    for entry in table:
        if not hasattr(entry, "operations"):
            renamed, _ = entry.rename_source_key(renamed)
    for entry in table:
        if not hasattr(entry, "operations"):
            continue
        model_name, pattern = entry.rename_source_key(renamed)
        if pattern is None:
            continue
        done = [(type(op).__name__, getattr(op, "dim", None)) for op in entry.operations]
        number = re.search(re.escape(pattern).replace(r"\*", r"(\d+)"), renamed)
        if done not in _STACKED or number is None or not number.groups():
            return _Place(name)
        part = entry.source_patterns.index(pattern)
        return _Place(model_name, len(entry.source_patterns), (int(number[1]), part))
    return _Place(renamed)


def _table(model_type: str) -> list[Any]:
    """transformers' entries for a model type; none before its version 5."""
    try:
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping
    except ImportError:
        return []
    return list(get_checkpoint_conversion_mapping(model_type) or [])
