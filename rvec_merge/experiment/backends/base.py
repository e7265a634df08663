"""What backends have in common: how a cell runner is given a model, and changes its weights."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.plan import Plan
from rvec_merge.recipe.read import Recipe
from rvec_merge.tasks.forced import Withholding


class Loaded(Protocol):
    """A model in memory.

    Attributes:
        tokenizer: transformers'.
        lm: lm-eval's view of both.
    """

    @property
    def tokenizer(self) -> Any: ...

    @property
    def lm(self) -> Any: ...

    def become(self, state: State) -> Effect | None:
        """Take on the weights of a state; what became of its scale, None where it has none.

        A failure leaves a model that holds no state; the next call begins anew.
        """
        ...

    def withhold(self, withholding: Withholding | None) -> None:
        """Evaluate with forced steps from now on; None evaluates as lm-eval does."""
        ...

    def answer_ahead(self, state: State, evaluations: Sequence[Callable[[], object]]) -> int:
        """Take on a state, and generate at once what several evaluations of it will ask for.

        Returns:
            The tokens that were generated; 0 where nothing is gained by it.
        """
        ...

    def close(self) -> None:
        """Free the memory."""
        ...


class Backend(Protocol):
    """What evaluates, as it is known before anything is loaded.

    Attributes:
        name: ``hf`` or ``vllm``.
    """

    @property
    def name(self) -> str: ...

    def depends(self, plan: Plan) -> Mapping[str, Any]:
        """What a cell's outcome depends on here; part of its key, so that no two mix."""
        ...

    def load(
        self,
        folder: Path,
        plan: Plan,
        recipe: Recipe | None,
        others: Mapping[str, Recipe] | None = None,
    ) -> Loaded:
        """Load a checkpoint with its tokenizer, chat template and generation config.

        Args:
            recipe: whose states the model is to take on; None for a model that stays as it is.
            others: see ``StateWeights``.
        """
        ...
