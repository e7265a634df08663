"""What runs inside vLLM's workers: new weights from each one's own files, and forced steps.

vLLM imports this module by name, in processes of its own: only names and numbers travel.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.platforms import current_platform
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from rvec_merge.errors import PlanError
from rvec_merge.experiment.conditions import State
from rvec_merge.recipe.read import parse_recipe, recipe_of
from rvec_merge.tasks.forced import line_ends

if TYPE_CHECKING:
    from rvec_merge.experiment.weights import Tensors

FORCED = "rvec_forced"  # in a request's extra_args: [line ends to wait for, forbidden tokens]


class StateWorker:
    """Mixed into vLLM's worker: every worker computes all tensors, and keeps its share of them."""

    model_runner: Any

    def rvec_open(
        self, recipe: str, source: str, allowed: Sequence[str], others: Mapping[str, Any]
    ) -> None:
        """Map the checkpoints of the recipe and of the others, given as data."""
        # Here: it loads llvmlite, which vLLM must not see while a worker starts.
        from rvec_merge.experiment.weights import StateWeights

        read = {name: recipe_of(data, text="", source=name) for name, data in others.items()}
        self._rvec_weights = StateWeights(
            parse_recipe(recipe, source=source), allowed=allowed, others=read
        )

    def rvec_become(self, state: Sequence[Any]) -> dict[str, Any] | None:
        """Take on a state, given as its fields; returns the effect's.

        Raises:
            PlanError: the checkpoints lack a parameter of the model.
        """
        from rvec_merge.experiment.weights import fresh

        model = self.model_runner.get_model()
        memory = fresh(self.model_runner.model_config.dtype)
        with closing(self._rvec_weights.tensors(State(*state), memory)) as tensors:
            self._rvec_load(model, tensors)
        for module in model.modules():
            # A tied head has taken the weights, but a CPU multiplies with a packed copy of it.
            if isinstance(module, ParallelLMHead):
                module.quant_method.process_weights_after_loading(module)
        effect = self._rvec_weights.effect
        return asdict(effect) if effect else None

    def _rvec_load(self, model: Any, tensors: "Tensors") -> None:
        """Load by vLLM's own way; it would only warn of parameters that keep their old values."""
        names = {name for name, _ in model.named_parameters()}
        if current_platform.is_cpu():
            # A CPU packs experts when they are first loaded, and vLLM 0.32 does not when they are
            # again: their kernel then reads them in the wrong order. On a GPU graphs hold it.
            for module in model.modules():
                if getattr(getattr(module, "quant_method", None), "moe_kernel", None) is not None:
                    module.quant_method.moe_kernel = None
        load, loaded = model.load_weights, set[str]()

        def noting(weights: Any) -> set[str]:
            loaded.update(load(weights))
            return loaded

        model.load_weights = noting
        try:
            self.model_runner.reload_weights(weights_iterator=tensors)
        finally:
            del model.load_weights
        if lacking := sorted(names - loaded):
            raise PlanError(
                "vLLM holds parameters that no checkpoint has.",
                [f"{len(lacking)} parameters", *lacking[:5]],
                "evaluate this model with --backend hf.",
            )


class UntilWritten(AdapterLogitsProcessor):  # type: ignore[misc]
    """Forbids the answer and the end until a request has its line ends; see ``tasks.forced``."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        self._config = vllm_config.model_config
        self._ends: frozenset[int] | None = None

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(
        self, params: Any
    ) -> Callable[[Sequence[int], Tensor], Tensor] | None:
        if (forced := (params.extra_args or {}).get(FORCED)) is None:
            return None
        if self._ends is None:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(self._config.tokenizer)
            self._ends = frozenset(line_ends(tokenizer))
        ends, (lines, forbidden) = self._ends, forced

        def withheld(written: Sequence[int], logits: Tensor) -> Tensor:
            if sum(token in ends for token in written) < lines:
                logits[forbidden] = -torch.inf
            return logits

        return withheld
