"""transformers' ``generate``: one model in memory with its tokenizer, as lm-eval takes it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.errors import CheckpointError, why
from rvec_merge.experiment.backends.model_weights import ResidentWeights
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.plan import Plan
from rvec_merge.recipe.read import Recipe
from rvec_merge.shown import quiet
from rvec_merge.tasks.forced import SweepLM, Withholding

# Parameters. Below this, torch's threads cost more than they save: an embedded model of 0.8 M took
# three times as long with two on a busy machine.
_SMALL = 20_000_000


@contextmanager
def _by_transformers(folder: Path) -> Iterator[None]:
    """Word what transformers, or a full device, says of a model: it may be anything."""
    try:
        yield
    except Exception as error:
        raise CheckpointError(
            "transformers cannot load a model that is to be evaluated.",
            [f"{folder}", f"{type(error).__name__}: {why(error)}"],
            "see that AutoModelForCausalLM and AutoTokenizer load it, and that it fits the device.",
        ) from error


@dataclass(frozen=True)
class Transformers:
    """The backend.

    Attributes:
        device: cpu, or the CUDA device that holds the model.
        spread: whether all visible CUDA devices hold a share of the model instead.
    """

    device: str
    spread: bool = False
    name: str = "hf"

    def depends(self, plan: Plan) -> Mapping[str, Any]:
        return {"name": self.name, "device": torch.device(self.device).type}

    def load(
        self,
        folder: Path,
        plan: Plan,
        recipe: Recipe | None,
        others: Mapping[str, Recipe] | None = None,
    ) -> "Resident":
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        dtype = getattr(torch, plan.precision)
        options: dict[str, Any] = {"device_map": "auto"} if self.spread else {}
        if self.device != "cpu":
            torch.cuda.empty_cache()  # of the model that was here before
        with quiet(), _by_transformers(folder):
            tokenizer = AutoTokenizer.from_pretrained(str(folder))
            if plan.dequantize and recipe is not None:
                # What is stored is no weight; every state's weights take its place.
                options["config"] = AutoConfig.from_pretrained(str(folder))
                vars(options["config"]).pop("quantization_config", None)
            model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, **options)
            if model.num_parameters() < _SMALL:
                torch.set_num_threads(1)
            model = (model if self.spread else model.to(self.device)).eval()
        with quiet():
            lm = SweepLM(model, tokenizer=tokenizer, batch_size=plan.batch_size, device=self.device)
            weights = None
            if recipe is not None:
                weights = ResidentWeights(
                    recipe, model, allowed=plan.allow, dequantize=plan.dequantize, others=others
                )
        return Resident(model, tokenizer, lm, weights)


@dataclass(frozen=True)
class Resident:
    """A loaded model.

    Attributes:
        model, tokenizer: transformers'.
        lm: lm-eval's view of both.
        weights: what changes them; None where they stay.
    """

    model: Any
    tokenizer: Any
    lm: SweepLM
    weights: ResidentWeights | None

    def become(self, state: State) -> Effect | None:
        if self.weights is None:
            return None
        self.weights.become(state)
        return self.weights.effect

    def withhold(self, withholding: Withholding | None) -> None:
        self.lm.withholding = withholding

    def answer_ahead(self, state: State, evaluations: Sequence[Callable[[], object]]) -> int:
        return 0  # batches are as long as they are asked to be

    def close(self) -> None:
        """Nothing else holds it."""
