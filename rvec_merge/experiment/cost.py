"""What an experiment will cost, as far as can be said before it runs."""

import re
from dataclasses import dataclass
from math import prod

from rvec_merge.checkpoint.tensor import NAMED
from rvec_merge.errors import RvecError
from rvec_merge.experiment.plan import Plan
from rvec_merge.preflight import see_local
from rvec_merge.recipe.read import Recipe

_STATED = re.compile(r"(?:^|[-_./])(\d+(?:\.\d+)?)b(?:$|[-_./@])", re.IGNORECASE)


@dataclass(frozen=True)
class Rate:
    """How fast a backend wrote on a machine, and how large the model was.

    Attributes:
        backend: as a plan's run names it.
        where: what it was, on which machine, in which dtype.
        tokens_per_second: tokens of outputs.
        parameters: of the model.
    """

    backend: str
    where: str
    tokens_per_second: float
    parameters: int

    def hours(self, tokens: int, parameters: int) -> float:
        """For so many tokens, by a model of another size, as if speed fell with parameters."""
        return tokens / (self.tokens_per_second * self.parameters / parameters) / 3600


# evidence/smollm2/RESULTS.md; nobody has measured vLLM on a GPU here.
MEASURED = (
    Rate("hf", "transformers on an H100, float32, batches of 600", 7000, 134_515_008),
    Rate("vllm", "vLLM on two CPU cores, float32", 510, 134_515_008),
)


@dataclass(frozen=True)
class Cost:
    """What is known of a plan's cost.

    Attributes:
        tokens: of all outputs, at most; tasks that score given answers write none.
        parameters: of the target; None where nothing says.
        stated: whether its name says so, and not its headers.
        weights: bytes of the weights in the plan's precision.
    """

    tokens: int
    parameters: int | None
    stated: bool
    weights: int | None


def cost_of(plan: Plan, recipe: Recipe, tokens: int) -> Cost:
    """The cost of a plan whose outputs have so many tokens at most."""
    target = recipe.config.target
    try:
        seen = see_local(target, "target")
    except RvecError:
        seen = None
    counted = sum(prod(info.shape) for info in seen.tensors.values()) if seen else 0
    named = _STATED.search(target.model.path)
    parameters = counted or (round(float(named[1]) * 1e9) if named else None)
    weights = None if parameters is None else parameters * NAMED[plan.precision].itemsize
    return Cost(tokens, parameters, not counted and parameters is not None, weights)
