"""The plan of a recipe from the names in its inputs' headers: no architecture is looked up."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rvec_merge.arithmetic.dtypes import is_floating_point
from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.checkpoint.model_config import flat, tied
from rvec_merge.checkpoint.places import bare, regrouped, renamed
from rvec_merge.checkpoint.vocabulary import (
    EMBEDDINGS,
    Ranges,
    has_tokens_rows,
    is_head,
    shared_ids,
)
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.tensors import InputTensor, ResolvedTensor
from rvec_merge.recipe.parameters import Resolver
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Reference

# Constants that old checkpoints stored, by the rank that tells them from weights of a like name.
# transformers computes them from the config, whatever a checkpoint holds.
_CONSTANTS = (
    (re.compile(r"rotary_emb\.inv_freq$"), 1),
    (re.compile(r"\.(attn|attention)\.masked_bias$"), 0),
    (re.compile(r"\.(attn|attention)\.bias$"), 4),
    (re.compile(r"\.position_ids$"), 2),
)
_LAYER = re.compile(r"(?:^|(.*?)\.)(\d+)\.")
_LISTS = frozenset({"layers", "layer", "h", "blocks", "block"})  # what lists of layers are called
_COUNTS = ("layers", "layer", "depth", "blocks")  # how a config's keys for their lengths end


def is_constant(info: TensorInfo) -> bool:
    """Whether a stored tensor is a constant that models compute themselves."""
    return any(
        pattern.search(info.name) and len(info.shape) == rank for pattern, rank in _CONSTANTS
    )


def is_tied_head(name: str, model: Input) -> bool:
    """Whether a name is that of an output head which the config ties to the embeddings."""
    return is_head(name) and bool(tied(model.config))


def resolve_by_names(recipe: Recipe, models: Mapping[Reference, Input]) -> list[ResolvedTensor]:
    """The output is what the target stores; each tensor meets the donors' of the same name.

    A constant that models compute is copied from the target. A tied output head that some inputs
    store is read from the embeddings of the others, as loaders do. A donor whose names differ by
    wrappers alone is read by the names it has, and one that stores a layer's experts in another
    form by the elements. With ``tokenizer: {source: base}`` the rows of the common tokens are
    merged, and the target's others stay.

    Raises:
        RecipeError: a parameter has a value that it cannot have.
    """
    config, target = recipe.config, recipe.config.target
    resolver = Resolver(config)
    seen = models[target]
    stored = seen.tensors
    depths = Depths(stored, seen.config)
    others = {r: other_names(stored, models[r].tensors) for r in resolver.inputs}
    heads = _heads(resolver.inputs, models, others)
    kind = str(seen.config.get("model_type"))
    runs = {r: regrouped(stored, models[r].tensors, others[r], kind) for r in resolver.inputs}
    shared = shared_rows(recipe, {r: model.folder for r, model in models.items()})
    planned = []
    for name, aliases in {**dict.fromkeys(stored, ()), **heads}.items():
        info = stored.get(name)
        rounds = info is None or is_floating_point(info.dtype)
        inputs = [target] if info is not None and is_constant(info) else resolver.inputs
        dtype = config.dtype if rounds else None
        planned.append(
            ResolvedTensor(
                name,
                target,
                {
                    r: InputTensor(
                        tuple(others[r].get(n, n) for n in (name, *aliases)),
                        dtype,
                        run=runs[r].get(name),
                        rows=shared if r != target and has_tokens_rows(name) else None,
                    )
                    for r in inputs
                },
                resolver.parameters(name, depths.of(name)),
                config.out_dtype if rounds else None,
            )
        )
    return planned


def shared_rows(recipe: Recipe, folders: Mapping[Reference, Path]) -> Ranges | None:
    """The rows of the vocabulary that are merged, where a recipe keeps the target's others.

    None where all are, or where it cannot be told whose row is whose: then mergekit must align
    them.
    """
    target = recipe.config.target
    if not recipe.config.rows_of_target or target not in folders:
        return None
    return shared_ids((folders[target], *(f for r, f in folders.items() if r != target)))


def other_names(
    target: Mapping[str, TensorInfo], donor: Mapping[str, TensorInfo]
) -> dict[str, str]:
    """A donor's own names by the target's; see ``renamed``. A head may be the donor's alone."""
    found = renamed(target, donor)
    read = {*target, *found.values()}
    heads = {bare(name): name for name in donor if is_head(name) and name not in read}
    return {**found, **{n: theirs for n, theirs in heads.items() if n not in {theirs, *target}}}


def _heads(
    inputs: Sequence[Reference],
    models: Mapping[Reference, Input],
    others: Mapping[Reference, Mapping[str, str]],
) -> dict[str, tuple[str, ...]]:
    """Output heads that some inputs store and others tie, and the embeddings read instead."""
    tensors = {}
    for reference in inputs:
        ours = {theirs: name for name, theirs in others[reference].items()}
        stored = models[reference].tensors
        tensors[reference] = {ours.get(name, name): info for name, info in stored.items()}
    stated = {n: info for found in tensors.values() for n, info in found.items() if is_head(n)}
    heads: dict[str, tuple[str, ...]] = {}
    for name, head in stated.items():
        for reference, found in tensors.items():
            if name not in found and is_tied_head(name, models[reference]):
                alike = (n for n, i in found.items() if i.shape[1:] == head.shape[1:])
                heads[name] = tuple(n for n in alike if n.endswith(EMBEDDINGS))[:1]
    return heads


class Depths:
    """How deep in the model a tensor lies: 0 in the first layer, 1 in the last, 0 outside.

    Layers are numbered in names. How many there are the names say too, without those that a config
    counts apart: layers that predict further tokens, behind the last.
    """

    def __init__(self, names: Iterable[str], config: Mapping[str, Any]) -> None:
        last: Counter[str] = Counter()
        for name in names:
            if found := _LAYER.match(name):
                last[found[1] or ""] = max(last[found[1] or ""], int(found[2]))
        settings = dict(flat(config))
        stated = {v for k, v in settings.items() if k.endswith(_COUNTS) and isinstance(v, int)}
        further = settings.get("num_nextn_predict_layers") or 0
        self._counts = {}
        lists = {place for place in last if place.rpartition(".")[2] in _LISTS}
        for place, index in last.items():
            if place in lists or (not lists and index + 1 in stated):
                beyond = index + 1 not in stated and index + 1 - further in stated
                self._counts[place] = index + 1 - (further if beyond else 0)

    def of(self, name: str) -> float:
        """The depth of a tensor of that name."""
        found = _LAYER.match(name)
        count = self._counts.get(found[1] or "") if found else None
        if found is None or count is None:
            return 0.0
        return min(1.0, int(found[2]) / (count - 1)) if count > 1 else 1.0
