"""Where one checkpoint stores another's tensors: by name, renamed, or in another form.

Trainers put what they wrap a model in before its weights' names. Experts are stored one by one or
as one tensor; which are the same is looked up in transformers' table of what it makes of stored
names, which is imported only where names do not match.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.sources import Joined
from rvec_merge.checkpoint.tensor import TensorInfo

# Wrappers that stand anywhere in a name: DDP, torch.compile, FSDP, activation checkpointing.
_ANYWHERE = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "_forward_module", "_checkpoint_wrapped_module"}
)
# What stands in front alone: PEFT, TRL's value heads, actors of RL trainers, a multimodal model's
# text model, which transformers 4 and 5 name in two orders.
_FRONT = frozenset(
    {"base_model", "model", "pretrained_model", "policy", "actor", "transformer", "language_model"}
)
# What transformers does that leaves each stored tensor's elements in one run of the fused one's.
_STACKED = [("MergeModulelist", 0)], [("MergeModulelist", 0), ("Concatenate", 1)]


@dataclass(frozen=True)
class Run:
    """A tensor that an input stores within another, or as several.

    Attributes:
        names: the stored tensors, of one dtype, whose elements follow on one another.
        start: its first element among theirs.
        shape: its shape.
    """

    names: tuple[str, ...]
    start: int
    shape: tuple[int, ...]

    def find(self, tensors: Mapping[str, TensorInfo]) -> TensorInfo | None:
        """What a header would say of it; of several tensors it says the first one's file."""
        if not all(name in tensors for name in self.names):
            return None
        first = tensors[self.names[0]]
        size = first.dtype.itemsize
        one = len(self.names) == 1 and first.start >= 0
        start = first.start + self.start * size if one else -1
        return replace(first, shape=self.shape, start=start, nbytes=prod(self.shape) * size)

    def read(self, source: Callable[[str], Source]) -> Source:
        """The tensor, for one thread to read.

        Args:
            source: gives a stored tensor by its name.
        """
        found = [source(name) for name in self.names]
        whole = len(found) == 1 and self.start == 0 and found[0].size == prod(self.shape)
        return found[0] if whole else Joined(found, self.start, self.shape)


def bare(name: str) -> str:
    """A tensor's name without what its model was wrapped in."""
    parts = [part for part in name.split(".") if part not in _ANYWHERE]
    while len(parts) > 2 and parts[0] in _FRONT:
        parts = parts[1:]
    return ".".join(parts)


def renamed(wanted: Mapping[str, TensorInfo], stored: Mapping[str, TensorInfo]) -> dict[str, str]:
    """The stored name by the wanted one, where wrappers alone keep the two apart.

    A name that both have stays, and one that could be two stored tensors is left as it is; shapes
    are equal.
    """
    theirs = _by_bare_name(name for name in stored if name not in wanted)
    ours = _by_bare_name(name for name in wanted if name not in stored)
    return {
        name: theirs[key]
        for key, name in ours.items()
        if key in theirs and wanted[name].shape == stored[theirs[key]].shape
    }


def located(
    wanted: Mapping[str, TensorInfo], stored: Mapping[str, TensorInfo], model_type: str
) -> dict[str, Run]:
    """Where a checkpoint stores the wanted tensors; those that it lacks are left out.

    By the name itself, whatever the shape there; else by ``renamed``; else by ``regrouped``.
    """
    other = renamed(wanted, stored)
    direct = {n: n for n in wanted if n in stored} | other
    found = {n: Run((theirs,), 0, stored[theirs].shape) for n, theirs in direct.items()}
    return found | regrouped(wanted, stored, other, model_type)


def regrouped(
    wanted: Mapping[str, TensorInfo],
    stored: Mapping[str, TensorInfo],
    other: Mapping[str, str],
    model_type: str,
) -> dict[str, Run]:
    """Where the wanted tensors are that are stored in another form, under no name of theirs.

    Args:
        other: the stored name by the wanted one, where it is another.
        model_type: the config's; transformers' table is by it.
    """
    read = {*other.values(), *wanted}
    target = {n: info for n, info in wanted.items() if n not in other and n not in stored}
    donor = {n: info for n, info in stored.items() if n not in read}
    if not target or not donor:
        return {}
    table = _table(model_type)
    ours, theirs = _by_model_name(target, table), _by_model_name(donor, table)
    found: dict[str, Run] = {}
    for name, mine in ours.items():
        if name in theirs:
            found.update(_runs(mine, theirs[name], target, donor))
    return found


def _by_bare_name(names: Iterable[str]) -> dict[str, str]:
    pairs = [(bare(name), name) for name in names]
    counts = Counter(key for key, _ in pairs)
    return {key: name for key, name in pairs if counts[key] == 1}


@dataclass(frozen=True)
class _Place:
    """A stored tensor in transformers' model: whose it is there, and which expert's and part."""

    model_name: str
    parts: int = 0
    order: tuple[int, int] = (0, 0)


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
