"""A resident model whose weights are recomputed in memory, with the bits a merge would write."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from rvec_merge.engine.effect import Effect, Sample, Sums, combine, measure
from rvec_merge.engine.plan import NotStreamable, PlannedTensor, plan_merge
from rvec_merge.engine.settings import Settings
from rvec_merge.errors import IncompatibleTensorsError, PlanError
from rvec_merge.evaluation.conditions import State
from rvec_merge.kernel import (
    BLOCK,
    BlockMerger,
    Delta,
    Source,
    accumulation_dtype,
    non_finite,
    sparsified,
)
from rvec_merge.preflight import examine
from rvec_merge.recipe import Recipe
from rvec_merge.threads import one_thread_each

_CPU = torch.device("cpu")


class ResidentWeights:
    """The parameters of a loaded model, recomputed from the checkpoints for each state.

    Always from the target, never stepped: in-place steps drift.

    Args:
        recipe: says what is added to what. Where its scale is one number, a state's scale takes
            its place; where it is a mask or a gradient, a state's scale multiplies it.
        model: the target, loaded in the precision that is evaluated.

    Raises:
        PlanError: the recipe needs mergekit's executor, or changes the number of layers.
        RvecError: what the preflight refuses.
    """

    def __init__(self, recipe: Recipe, model: torch.nn.Module) -> None:
        report = examine(recipe, None)
        report.raise_errors()
        try:
            self._plan = plan_merge(recipe, report.tensors, Settings(), mapped=True)
        except NotStreamable as reason:
            raise PlanError(
                "The recipe cannot be evaluated in memory.",
                [str(reason)],
                "merge it with `rvec merge`, and evaluate the output with lm_eval.",
            ) from None
        self._numeric = _is_number((recipe.config.parameters or {}).get("scale"))
        self._sample = Sample.of(sum(tensor.numel for tensor in self._plan.tensors))
        self._parameters = dict(model.named_parameters(remove_duplicate=False))
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
            out = self._parameters[tensor.name].data
            return _write(out, *self._inputs(tensor, state), tensor, state.scale, self._sample)

        # A tied name has no parameter of its own; a buffer is the target's.
        written = [t for t in self._plan.tensors if t.name in self._parameters and t.value is None]
        # The largest first, so that no thread is left alone with one at the end.
        largest = sorted(written, key=lambda tensor: -tensor.numel)
        with one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
            sums = dict(zip((t.name for t in largest), pool.map(write, largest), strict=True))
        measured = ((tensor.numel, sums[tensor.name]) for tensor in written)
        self.effect = combine(measured) if state.scale else None
        self.state = state

    def _inputs(self, tensor: PlannedTensor, state: State) -> tuple[Source, list[Delta]]:
        if state.kind in {"sft", "grpo"}:
            roles: Mapping[object, str] = tensor.parameters["role"]
            donors = [s for r, s in tensor.inputs.items() if roles.get(r) == state.kind]
            if len(donors) != 1:
                raise PlanError(
                    f"The recipe has {len(donors)} {state.kind} donors.",
                    [f"for {tensor.name}"],
                    "set donors: false in the plan; only the donors of one pair are evaluated.",
                )
            return donors[0].source(), []
        own = 1.0 if self._numeric else tensor.scale
        control = state.kind if state.kind in {"random", "permuted"} else "none"
        changed = {"scale": own * state.scale, "control": control, "seed": state.seed}
        target, deltas = replace(tensor, parameters={**tensor.parameters, **changed}).open()
        return target, deltas if state.scale else []


def _is_number(setting: object) -> bool:
    """Whether a scale is one number, also one that YAML reads as text (``5e-1``); else a mask."""
    try:
        float(setting)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


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
    dtype = accumulation_dtype([base.dtype, *(s.dtype for d in deltas for _, s in d.inputs)])
    ready = [sparsified(delta, dtype) for delta in deltas]
    merger = BlockMerger(dtype, _CPU)
    flat = out.view(-1)
    sums: list[Sums] = []
    for start in range(0, flat.numel(), BLOCK):
        window = flat[start : start + BLOCK]
        # On an accelerator the block is computed here and copied there: the bits are the same.
        block = window if out.device == _CPU else torch.empty_like(window, device=_CPU)
        if not merger.merge(base, ready, block, start):
            raise non_finite(base, deltas, name=tensor.name)
        if ready:
            strips = sample.strips(tensor.name, tensor.numel, start, start + block.numel())
            sums += measure(strips, merger, base, ready, scale, block, start).values()
        if block is not window:
            window.copy_(block)
    return sums
