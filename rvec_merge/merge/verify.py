"""Recompute a merge from its provenance, and compare bits."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rvec_merge.arithmetic.dtypes import bits_of
from rvec_merge.arithmetic.loop import BlockLoop
from rvec_merge.checkpoint.header import Checkpoint, TensorInfo
from rvec_merge.checkpoint.tensor import StoredTensor
from rvec_merge.checkpoint.weight_files import refuse_second_set
from rvec_merge.errors import CheckpointError, RecipeError, RvecError
from rvec_merge.files.hashes import file_sha256
from rvec_merge.hub.models import open_inputs
from rvec_merge.hub.recipes import fetch_models
from rvec_merge.hub.snapshot import no_downloads
from rvec_merge.merge.provenance import Provenance, read_provenance
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.merge_plan import (
    MergePlan,
    NotStreamable,
    plan_merge,
    resolve,
    why_by_mergekit,
)
from rvec_merge.plan.tensors import PlannedTensor
from rvec_merge.recipe.read import Recipe, parse_recipe


@dataclass(frozen=True)
class Verification:
    """Whether an output's bits are what its recipe gives.

    Attributes:
        checked: how many tensors were recomputed, of how many.
        total: how many the recipe gives.
        differing: tensors whose bits differ, with the number of elements that do.
        missing, extra: tensors that the output lacks, or has beyond the recipe.
        changed: inputs that are not the files the merge read, as far as sizes and hashes tell.
        recipe_differs: the recipe given is not the one recorded.
    """

    checked: int
    total: int
    differing: Mapping[str, int]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[str, ...]
    recipe_differs: bool

    @property
    def holds(self) -> bool:
        """The bits are what the recipe gives."""
        return not (self.differing or self.missing or self.extra)

    def error(self, kind: type[RvecError], out: Path, fix: str) -> RvecError:
        """The error for bits that are others."""
        facts = [f"{name}: {count} elements differ" for name, count in self.differing.items()]
        facts += [f"{name}: missing" for name in self.missing]
        facts += [f"{name}: not in the recipe's plan" for name in self.extra]
        more = [f"and {len(facts) - 8} more"] if len(facts) > 8 else []
        headline = "The merge is not what its recipe gives."
        return kind(headline, [f"{out}", *facts[:8], *more, *self.changed], fix)


def verify(
    out: Path,
    *,
    recipe: Recipe | None = None,
    sample: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verification:
    """Recompute ``out`` and compare it bit by bit.

    Args:
        recipe: instead of the recorded one; its paths are taken as they are written.
        sample: so many tensors only, drawn with ``seed``.
        progress: is told of elements done, and of all there are.

    Raises:
        CheckpointError: ``out`` or an input cannot be read, or ``out`` holds weights beside those
            that transformers loads.
        RecipeError: mergekit's executor made the output; only a streamed merge can be verified.
    """
    recorded = read_provenance(out)
    if hashlib.sha256(recorded.recipe.encode()).hexdigest() != recorded.recipe_sha256:
        raise CheckpointError(
            "The recorded recipe was changed.",
            [f"{out}", "its sha256 is not the recorded one"],
            "verify against the recipe you know: --recipe.",
        )
    given = recipe or parse_recipe(recorded.recipe, source=f"{out}")
    plan = _plan(given)
    written = Checkpoint.open(out)
    refuse_second_set(out, (path.name for path in out.iterdir()), written.files)
    wanted = {tensor.name: tensor for tensor in plan.tensors}
    chosen = [name for name in wanted if name in written.tensors]
    if sample is not None and sample < len(chosen):
        chosen = random.Random(seed).sample(chosen, sample)
    total, done = sum(wanted[name].numel for name in chosen), 0
    differing = {}
    for name in chosen:
        if count := _differing(wanted[name], written.tensors[name]):
            differing[name] = count
        done += wanted[name].numel
        progress(done, total)
    return Verification(
        checked=len(chosen),
        total=len(wanted),
        differing=differing,
        missing=tuple(name for name in wanted if name not in written.tensors),
        extra=tuple(name for name in written.tensors if name not in wanted),
        changed=tuple(_changed(recorded, plan.inputs.values())),
        recipe_differs=given.text != recorded.recipe,
    )


def _plan(recipe: Recipe) -> MergePlan:
    fetch_models(recipe)
    found = open_inputs(recipe)
    try:
        with no_downloads():
            by_mergekit = why_by_mergekit(recipe, found) is not None
            return plan_merge(recipe, resolve(recipe, found, by_mergekit=by_mergekit), found)
    except NotStreamable as reason:
        raise RecipeError(
            "Only a streamed merge can be recomputed.",
            [recipe.source, f"mergekit's executor made it, because {reason}"],
            "merge it again with mergekit and compare the files.",
        ) from None


def _differing(tensor: PlannedTensor, info: TensorInfo) -> int:
    """How many elements differ; all of them where dtype or shape do."""
    if info.dtype != tensor.dtype or info.shape != tensor.shape:
        return max(tensor.numel, 1)
    found = StoredTensor(info)
    if tensor.value is not None:
        return int(np.count_nonzero(tensor.value.reshape(-1) != found[0 : tensor.numel]))
    count = 0
    for block in BlockLoop().merge(
        *tensor.open(), tensor.dtype, name=tensor.name, target_name=str(tensor.target)
    ):
        stored = found[block.start : block.start + block.values.size]
        count += int(np.count_nonzero(bits_of(block.values) != bits_of(stored)))
    return count


def _changed(recorded: Provenance, inputs: Iterable[Input]) -> Iterator[str]:
    """What in the inputs is not as it was when they were merged."""
    now = {str(found.reference): found for found in inputs}
    for record in recorded.inputs:
        if record.reference not in now:
            yield f"{record.reference}: not in the recipe"
            continue
        files = {path.name: path for path in now[record.reference].weight_files}
        for name, known in record.files.items():
            path = files.get(name)
            if path is None:
                yield f"{record.reference}: {name} is gone"
            elif path.stat().st_size != known.bytes:
                yield f"{record.reference}: {name} has another size"
            elif known.sha256 is not None and file_sha256(path) != known.sha256:
                yield f"{record.reference}: {name} has another sha256"
