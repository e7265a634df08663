"""An adapter on a base, read as one model: ``base + scaling · B · A``, in float32."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from rvec_merge.arithmetic.dtypes import accumulation_dtype
from rvec_merge.arithmetic.kernel import Source
from rvec_merge.arithmetic.updates import Factors, LowRank, Sum
from rvec_merge.checkpoint.adapter import Adapter, Module
from rvec_merge.checkpoint.tensor import StoredTensor, TensorInfo, read_whole
from rvec_merge.checkpoint.vocabulary import EMBEDDINGS, HEADS
from rvec_merge.checkpoint.weights import View, Weights
from rvec_merge.errors import CheckpointError, IncompatibleTensorsError, shortened
from rvec_merge.files.marks import ADAPTER_FILE

_CACHED = re.compile(r"models--([^/]+)/snapshots/")


@dataclass(frozen=True)
class Update:
    """What is added to one stored tensor: a module's product, or the bias that LoRA adds."""

    module: Module
    bias: bool
    transposed: bool


@dataclass(frozen=True)
class Adapted(View):
    """A base with an adapter on it; see ``weights.Weights``.

    A weight that the adapter changes is a float32 source (float64 where the base is): the base's
    stored value plus the update, never rounded to the base's dtype. Of two adapters on one base the
    difference is that of their updates, and the base is not read (``updates.without_common_base``).

    Attributes:
        base: the model that the adapter was trained on.
        adapter: what is added to it.
        updates: by the names in the base's files.
        whole: tensors that replace the base's.
    """

    adapter: Adapter
    updates: Mapping[str, Update]
    whole: Mapping[str, TensorInfo]

    @property
    def paths(self) -> Sequence[Path]:
        """The base's weight files, and the adapter's."""
        return [*self.base.paths, self.adapter.path]

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """The base's tensors, those among them that the adapter changes in float32, and its own."""
        found = {name: self._info(name, info) for name, info in self.base.tensors.items()}
        return {**found, **{n: i for n, i in self.whole.items() if n not in found}}

    def source(self, name: str) -> Source:
        """One tensor, for one thread to read."""
        whole, update = self.whole.get(name), self.updates.get(name)
        base = self.base.source(name) if whole is None else StoredTensor(whole)
        if update is None:
            return base
        dtype = self.tensors[name].dtype
        return Sum(base, LowRank(lambda: _factors(update), tuple(base.shape), dtype))

    def _info(self, name: str, info: TensorInfo) -> TensorInfo:
        whole, update = self.whole.get(name), self.updates.get(name)
        info = whole or info
        if update is None:
            return replace(info, name=name)
        parts = _parts(update)
        dtype = accumulation_dtype([info.dtype, *(part.dtype for part in parts)])
        nbytes = info.nbytes + sum(part.nbytes for part in parts)
        return replace(info, name=name, dtype=dtype, start=-1, nbytes=nbytes)


def on_base(base: Weights, adapter: Adapter) -> Adapted:
    """Put an adapter on its base.

    Raises:
        IncompatibleTensorsError: a tensor of the adapter fits none of the base.
        CheckpointError: the adapter cannot be told apart from another one.
    """
    updates: dict[str, Update] = {}
    whole: dict[str, TensorInfo] = {}
    misfits: list[str] = []
    head = _own_head(base, adapter)
    for name, info in adapter.whole.items():
        own = name if name == head else _stored(base, name) or name
        whole[own] = replace(info, name=own)
    if head is not None and head not in whole:
        # What is added to a tied head is not added to the embeddings.
        whole[head] = replace(base.tensors[_stored(base, head) or head], name=head)
    if _unties(base, adapter, whole):
        # The base's one matrix is the head still, and the adapter's the embeddings.
        embeddings = next(name for name in whole if name.endswith(EMBEDDINGS))
        whole[HEADS[0]] = replace(base.tensors[embeddings], name=HEADS[0])
    facing = _facing(base, adapter)
    for module in adapter.modules.values():
        own = f"{module.name}.weight"
        place = own if own in whole else _stored(base, own)
        shape = None if place is None else (whole.get(place) or base.tensors[place]).shape
        if place is None or shape is None:
            misfits += _told(module, f"the model has no {module.name}.weight")
            continue
        product = (module.b.shape[0], module.a.shape[1])
        transposed = module.embedding or _is_transposed(product, shape, facing, adapter)
        if shape != (product[::-1] if transposed else product):
            misfits += _told(module, f"the model's weight is {shape}")
            continue
        updates[place] = Update(module, False, transposed)
        if module.bias is None:
            continue
        bias = _stored(base, f"{module.name}.bias")
        if bias is None or base.tensors[bias].shape != module.bias.shape:
            misfits.append(f"{module.bias.name}: the model has no such {module.name}.bias")
        else:
            updates[bias] = Update(module, True, False)
    if misfits:
        stored = 2 * len(adapter.modules) + len(adapter.whole)
        raise IncompatibleTensorsError(
            f"{len(misfits)} of {stored} tensors of an adapter fit no tensor of its model.",
            [f"adapter: {adapter.root}", f"base:    {base.root}", *shortened(misfits)],
            f"name the model that the adapter was trained on: {ADAPTER_FILE} says which.",
        )
    return Adapted(base, adapter, updates, whole)


def check_base(adapter: Adapter, given: str, base: Weights) -> str | None:
    """Hold the base that an adapter was trained on to the one that it is put on.

    Args:
        given: what the recipe or command calls the base.

    Returns:
        The base that the adapter names, where it cannot be compared with the given one.

    Raises:
        CheckpointError: they are two models.
    """
    stated = adapter.base
    if stated is None:
        return "no base"
    cached = _CACHED.search(f"{base.root}/")
    known = cached[1].replace("--", "/") if cached else given.partition("@")[0]
    places = [Path(stated), adapter.root / stated]
    found = [place for place in places if place.is_dir()]
    same = any(place.resolve() == base.root.resolve() for place in found)
    if same or stated.casefold() == known.casefold():
        return None
    stated_path = bool(found) or stated.startswith((os.sep, ".", "~"))
    given_path = cached is None and (base.root == Path(given) or given.startswith((os.sep, ".")))
    if stated_path != given_path or (stated_path and not found):
        return stated  # a folder, here or of another machine, says nothing of a repo
    raise CheckpointError(
        "An adapter is put on another base than it was trained on.",
        [f"adapter: {adapter.root}", f"trained on: {stated}", f"put on:     {given}"],
        f"name {stated} before the +; if both are one model, correct base_model_name_or_path in "
        f"{ADAPTER_FILE}.",
    )


def _stored(base: Weights, name: str) -> str | None:
    """What the base's files call a tensor of the trained model; a tied head is the embeddings."""
    if name in base.tensors:
        return name
    if name.endswith(HEADS) and not any(n.endswith(HEADS) for n in base.tensors):
        return next((n for n in base.tensors if n.endswith(EMBEDDINGS)), None)
    return None


def _own_head(base: Weights, adapter: Adapter) -> str | None:
    """The output head that an adapter trains apart from embeddings which are the base's head too.

    What LoRA alone adds to such a head goes to the embeddings, as ``merge_and_unload`` has it.
    """
    products = [f"{module.name}.weight" for module in adapter.modules.values()]
    head = next((name for name in (*adapter.whole, *products) if name.endswith(HEADS)), None)
    if head is None or (embeddings := _stored(base, head)) in (None, head):
        return None
    alone = head in products and embeddings not in (*adapter.whole, *products)
    return None if alone else head


def _unties(base: Weights, adapter: Adapter, whole: Mapping[str, TensorInfo]) -> bool:
    """Whether an adapter stores embeddings whose base has them for a head too."""
    named = str(base.config.get("architectures"))
    embeddings = [name for name in whole if name.endswith(EMBEDDINGS) and name in base.tensors]
    heads = any(name.endswith(HEADS) for name in (*base.tensors, *adapter.whole))
    return bool(embeddings) and not heads and ("LM" in named or "Generation" in named)


def _facing(base: Weights, adapter: Adapter) -> set[bool]:
    """Which way round the layers store their weights, as those that are not square tell."""
    ways = set()
    for module in adapter.modules.values():
        name = _stored(base, f"{module.name}.weight")
        product = (module.b.shape[0], module.a.shape[1])
        if name is not None and not module.embedding and product[0] != product[1]:
            shape = base.tensors[name].shape
            ways |= {False} if shape == product else {True} if shape == product[::-1] else set()
    return ways


def _is_transposed(
    product: tuple[int, int], shape: tuple[int, ...], facing: set[bool], adapter: Adapter
) -> bool:
    """Whether a layer stores its weight as (in, out), as GPT-2's do.

    PEFT sets ``fan_in_fan_out`` for each layer by its class, and saves what it was last.
    """
    if product[0] != product[1]:
        return shape == product[::-1]
    if len(facing) == 1:
        return next(iter(facing))
    if facing:
        raise CheckpointError(
            "An adapter's square layers can be read in two ways.",
            [f"{adapter.root}", "its other layers store weights as (in, out) and as (out, in)"],
            "merge it with peft (merge_and_unload) in float32, save that, and name the folder.",
        )
    return adapter.transposed


def _told(module: Module, what: str) -> Iterator[str]:
    for part in (module.a, module.b):
        yield f"{part.name}  {part.shape}: {what}"


def _parts(update: Update) -> list[TensorInfo]:
    module = update.module
    if update.bias:
        assert module.bias is not None
        return [module.bias]
    return [module.a, module.b]


def _factors(update: Update) -> Factors:
    parts = [read_whole(part) for part in _parts(update)]
    if update.bias:
        return Factors(parts[0].reshape(-1, 1), np.ones((1, 1)), update.module.scale)
    a, b = parts
    left, right = (a.T, b.T) if update.transposed else (b, a)
    return Factors(left, right, update.module.scale)
