"""A resident model whose weights are recomputed in memory, with the bits a merge would write."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from rvec_merge.arithmetic.control_kinds import CONTROL_KINDS
from rvec_merge.arithmetic.effect import Effect, Sample, Sums, combine
from rvec_merge.arithmetic.kernel import Delta, Source
from rvec_merge.arithmetic.loop import BlockLoop
from rvec_merge.arithmetic.threads import one_thread_each
from rvec_merge.errors import IncompatibleTensorsError, PlanError
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.states import DONORS, donor_of, has_one_scale
from rvec_merge.hub.models import open_inputs
from rvec_merge.plan.merge_plan import NotStreamable, PlannedTensor, plan_merge
from rvec_merge.preflight import examine
from rvec_merge.recipe.read import Recipe

_CPU = torch.device("cpu")


class ResidentWeights:
    """The parameters of a loaded model, recomputed from the checkpoints for each state.

    Always from the target, never stepped: in-place steps drift.

    Args:
        recipe: says what is added to what. Where its scale is one number, a state's scale takes
            its place; where it is a mask or a gradient, a state's scale multiplies it.
        model: the target, loaded in the precision that is evaluated.
        allowed: settings in which the inputs' configs may differ.

    Raises:
        PlanError: the recipe needs mergekit's executor, or changes the number of layers.
        RvecError: what the preflight refuses.
    """

    def __init__(
        self, recipe: Recipe, model: torch.nn.Module, *, allowed: Sequence[str] = ()
    ) -> None:
        report = examine(recipe, None, allowed=allowed)
        report.raise_errors()
        try:
            inputs = open_inputs(recipe, mapped=True)
            self._plan = plan_merge(recipe, report.tensors, inputs)
        except NotStreamable as reason:
            raise PlanError(
                "The recipe cannot be evaluated in memory.",
                [str(reason)],
                "merge it with `rvec merge`, and evaluate the output with lm_eval.",
            ) from None
        self._one_scale = has_one_scale(recipe.config)
        self._recipe = recipe
        self._sample = Sample.of(sum(tensor.numel for tensor in self._plan.tensors))
        self._held = _held(model, [tensor.name for tensor in self._plan.tensors])
        self.state: State | None = None
        self.effect: Effect | None = None

    def become(self, state: State) -> None:
        """Give the model the weights of ``state``; ``effect`` then says what became of its scale.

        Dtypes: accumulates as the kernel does and rounds once, to the parameters' dtype.
        Threads: as many as torch was given.
        Memory: some blocks per thread; the checkpoints are mapped.
        """
        if state == self.state:
            return
        self.state = None  # a failure half-way leaves neither the old weights nor the new

        def write(tensor: PlannedTensor) -> list[Sums]:
            out = self._held[tensor.name].data
            return _write(out, *self._inputs(tensor, state), tensor, state.scale, self._sample)

        # transformers leaves out what the model does not hold; a buffer is the target's.
        written = [t for t in self._plan.tensors if t.name in self._held and t.value is None]
        # The largest first, so that no thread is left alone with one at the end.
        largest = sorted(written, key=lambda tensor: -tensor.numel)
        with one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
            sums = dict(zip((t.name for t in largest), pool.map(write, largest), strict=True))
        measured = ((tensor.numel, sums[tensor.name]) for tensor in written)
        self.effect = combine(measured) if state.scale else None
        self.state = state

    def _inputs(self, tensor: PlannedTensor, state: State) -> tuple[Source, list[Delta]]:
        if state.kind in {"target", *DONORS}:
            one = tensor.target if state.kind == "target" else donor_of(self._recipe, state.kind)
            stored = tensor.inputs.get(one)
            if stored is None:
                raise PlanError(
                    f"The {state.kind} donor does not store {tensor.name}.",
                    [f"{one}"],
                    "set donors: own_prompts in the plan, which loads each donor by itself.",
                )
            # As it is stored: a recipe's dtype rounds what is merged.
            return stored.model.source(stored.name), []
        own = 1.0 if self._one_scale else tensor.scale
        control = state.kind if state.kind in CONTROL_KINDS else "none"
        changed = {"scale": own * state.scale, "control": control, "seed": state.seed}
        target, deltas = replace(tensor, parameters={**tensor.parameters, **changed}).open()
        return target, deltas


def _held(model: torch.nn.Module, planned: Iterable[str]) -> dict[str, Tensor]:
    """The model's tensors by name; planned ones that are tied are parted.

    A checkpoint that stores both has two tensors, and transformers ties them only where they are
    equal.

    Raises:
        PlanError: a parameter is in no checkpoint under its name: it would keep its old weights.
    """
    held: dict[str, Tensor] = model.state_dict(keep_vars=True)
    written: set[int] = set()
    for name in planned:
        if name not in held:
            continue
        if id(held[name]) in written:
            place, _, leaf = name.rpartition(".")
            held[name] = torch.nn.Parameter(held[name].detach().clone(), requires_grad=False)
            setattr(model.get_submodule(place), leaf, held[name])
        written.add(id(held[name]))
    lacking = [name for name, p in model.named_parameters() if id(p) not in written]
    if lacking:
        raise PlanError(
            "The recipe cannot be evaluated in memory.",
            [f"{len(lacking)} parameters have other names in the checkpoints", *lacking[:5]],
            "merge it with `rvec merge`, and evaluate the output with lm_eval.",
        )
    return held


def _write(
    out: Tensor,
    base: Source,
    deltas: list[Delta],
    tensor: PlannedTensor,
    scale: float,
    sample: Sample,
) -> list[Sums]:
    """Compute one parameter; returns the sums of the strips whose effect is measured."""
    if tuple(base.shape) != tuple(out.shape):
        raise IncompatibleTensorsError(
            f"The model and the checkpoint disagree on {tensor.name}.",
            [f"model {tuple(out.shape)}", f"checkpoint {tuple(base.shape)}"],
            "evaluate checkpoints that transformers loads without changing their tensors.",
        )
    flat = out.view(-1)
    sums: list[Sums] = []
    # On an accelerator the block is computed here and copied there: the bits are the same.
    for block in BlockLoop().merge(
        base,
        deltas,
        out.dtype,
        into=flat if out.device == _CPU else None,
        sample=sample if deltas else None,
        scale=scale,
        name=tensor.name,
    ):
        if out.device != _CPU:
            flat[block.start : block.start + block.values.numel()].copy_(block.values)
        sums += block.sums.values()
    return sums
