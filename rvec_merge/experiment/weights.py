"""The weights of a condition, tensor by tensor, with the bits that a merge would write."""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from rvec_merge.arithmetic.control_kinds import CONTROL_KINDS
from rvec_merge.arithmetic.effect import Effect, Sample, Sums, combine
from rvec_merge.arithmetic.kernel import Delta, Source
from rvec_merge.arithmetic.loop import BLOCK, BlockLoop
from rvec_merge.arithmetic.tensors import array_of, numpy_dtype, tensor_of
from rvec_merge.arithmetic.threads import one_thread_each
from rvec_merge.errors import PlanError
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.states import DONORS, donor_of, has_one_scale
from rvec_merge.plan.merge_plan import MergePlan, NotStreamable, plan_merge
from rvec_merge.plan.tensors import PlannedTensor, norm_ratio
from rvec_merge.preflight import examine, see_local
from rvec_merge.recipe.read import Recipe

_CPU = torch.device("cpu")
_SPAN = 16 * BLOCK  # elements of a tensor that one thread works through
_AHEAD = 2  # spans per thread that are begun before they are asked for

Memory = Callable[[PlannedTensor], Tensor | None]
Tensors = Generator[tuple[str, Tensor], None, None]


class StateWeights:
    """What the checkpoints hold of each state, under the checkpoints' own names.

    Always computed from the target, never stepped: in-place steps drift.

    Args:
        recipe: says what is added to what. Where its scale is one number, a state's scale takes
            its place; where it is a mask or a gradient, a state's scale multiplies it.
        allowed: settings in which the inputs' configs may differ.
        dequantize: FP8 inputs are read by their scales.
        others: by name, recipes that put other vectors on the same target.

    Raises:
        PlanError: a recipe needs mergekit's executor, or another vector lacks a tensor.
        RvecError: what the preflight refuses.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        allowed: Sequence[str] = (),
        dequantize: bool = False,
        others: Mapping[str, Recipe] | None = None,
    ) -> None:
        self.plan = _planned(recipe, allowed, dequantize)
        self._others = {
            name: {tensor.name: tensor for tensor in _planned(other, allowed, dequantize).tensors}
            for name, other in (others or {}).items()
        }
        self._ratios: dict[tuple[str, str], float] = {}
        self._one_scale = has_one_scale(recipe.config)
        self._recipe = recipe
        self._sample = Sample.of(sum(tensor.numel for tensor in self.plan.tensors))
        self.effect: Effect | None = None

    def tensors(self, state: State, memory: Memory) -> Tensors:
        """Every tensor of ``state`` by its name in the checkpoint, in the plan's order.

        ``effect`` says what became of the state's scale, once all have been taken.

        Args:
            memory: what a tensor is written to, in any floating dtype, contiguous; None leaves it
                out. What is not floating point is written to nothing: it is the target's.

        Dtypes: accumulates as the kernel does and rounds once, to the memory's dtype.
        Threads: as many as torch was given; a few spans are computed ahead of the consumer.
        Memory: some blocks per thread beside what ``memory`` gives; the checkpoints are mapped.

        Raises:
            NonFiniteError: an input or the result holds NaN or Inf.
            PlanError: a donor that is a state does not store a tensor.
        """
        self.effect = None
        measured: list[tuple[int, list[Sums]]] = []
        with one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
            if state.kind == "other":
                self._measure(state.name, pool)
            begun: deque[tuple[PlannedTensor, Tensor, list[Future[list[Sums]]]]] = deque()

            def finished() -> tuple[str, Tensor]:
                tensor, out, spans = begun.popleft()
                sums = [one for span in spans for one in span.result()]
                measured.append((tensor.numel, sums))
                return tensor.name, out

            for tensor in self.plan.tensors:
                if tensor.value is not None or (out := memory(tensor)) is None:
                    continue
                spans = self._spans(tensor)
                work = [pool.submit(self._write, out, tensor, state, span) for span in spans]
                begun.append((tensor, out, work))
                while sum(len(spans) for _, _, spans in begun) > threads * _AHEAD:
                    yield finished()
            while begun:
                yield finished()
        self.effect = combine(measured) if state.scale else None

    def _measure(self, name: str, pool: ThreadPoolExecutor) -> None:
        """Find what gives another vector this one's norm, tensor by tensor; once."""
        there = self._others[name]
        tensors = [
            t for t in self.plan.tensors if t.value is None and (name, t.name) not in self._ratios
        ]
        own = [
            replace(t, parameters={**t.parameters, "scale": 1.0}) if self._one_scale else t
            for t in tensors
        ]
        found = pool.map(lambda t: norm_ratio(t, there[t.name]), own)
        self._ratios |= {(name, t.name): ratio for t, ratio in zip(tensors, found, strict=True)}

    def _spans(self, tensor: PlannedTensor) -> list[slice]:
        # A mask needs the whole tensor's order, so one thread does it all.
        step = max(tensor.numel, 1) if tensor.parameters["density"] < 1 else _SPAN
        starts = range(0, tensor.numel, step)
        return [slice(low, min(low + step, tensor.numel)) for low in starts]

    def _write(self, whole: Tensor, tensor: PlannedTensor, state: State, span: slice) -> list[Sums]:
        """Compute one span; returns the sums of the strips whose effect is measured."""
        base, deltas = self._inputs(tensor, state)
        out = whole.view(-1)[span]
        # On an accelerator the block is computed here and copied there: the bits are the same.
        here = out.device == _CPU
        sums: list[Sums] = []
        for block in BlockLoop().merge(
            base,
            deltas,
            numpy_dtype(out.dtype),
            start=span.start,
            stop=span.stop,
            into=array_of(out) if here else None,
            sample=self._sample if deltas else None,
            scale=state.scale,
            name=tensor.name,
        ):
            if not here:
                low = block.start - span.start
                out[low : low + block.values.size].copy_(tensor_of(block.values))
            sums += block.sums.values()
        return sums

    def _inputs(self, tensor: PlannedTensor, state: State) -> tuple[Source, list[Delta]]:
        if state.kind in {"target", *DONORS}:
            one = tensor.target if state.kind == "target" else donor_of(self._recipe, state.kind)
            stored = tensor.inputs.get(one)
            if stored is None or stored.rows is not None:
                fact = "does not store" if stored is None else "has other rows in"
                raise PlanError(
                    f"The {state.kind} donor {fact} {tensor.name}.",
                    [f"{one}"],
                    "set donors: own_prompts in the plan, which loads each donor by itself.",
                )
            # As it is stored: a recipe's dtype rounds what is merged.
            return stored.model.source(stored.name), []
        if state.kind == "other":
            there = self._others[state.name][tensor.name]
            scale = there.scale * self._ratios[state.name, tensor.name] * state.scale
            return replace(there, parameters={**there.parameters, "scale": scale}).open()
        own = 1.0 if self._one_scale else tensor.scale
        control = state.kind if state.kind in CONTROL_KINDS else "none"
        changed = {"scale": own * state.scale, "control": control, "seed": state.seed}
        target, deltas = replace(tensor, parameters={**tensor.parameters, **changed}).open()
        return target, deltas


def _planned(recipe: Recipe, allowed: Sequence[str], dequantize: bool) -> MergePlan:
    resolver = partial(see_local, mapped=True)
    report = examine(recipe, None, dequantize=dequantize, allowed=allowed, resolver=resolver)
    report.raise_errors()
    try:
        return plan_merge(recipe, report.tensors, report.inputs)
    except NotStreamable as reason:
        raise not_in_memory([recipe.source, str(reason)]) from None


def fresh(dtype: torch.dtype) -> Memory:
    """New memory for every tensor, in one dtype."""
    return lambda tensor: torch.empty(tensor.shape, dtype=dtype)


def not_in_memory(facts: Sequence[str]) -> PlanError:
    """The error for a recipe whose states no loaded model can take on."""
    return PlanError(
        "The recipe cannot be evaluated in memory.",
        facts,
        "merge it with `rvec merge`, and evaluate the output with lm_eval.",
    )
