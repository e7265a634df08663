"""A model in memory with its tokenizer, as lm-eval takes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rvec_merge.errors import CheckpointError, why
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.quiet import quiet
from rvec_merge.tasks.forced import SweepLM

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
class Resident:
    """A loaded model.

    Attributes:
        model, tokenizer: transformers'.
        lm: lm-eval's view of both.
    """

    model: Any
    tokenizer: Any
    lm: SweepLM

    @classmethod
    def load(cls, folder: Path, plan: Plan, device: str, *, spread: bool) -> "Resident":
        """Load weights, tokenizer, chat template and generation config as transformers does.

        Args:
            device, spread: see ``CellRunner``.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        dtype = getattr(torch, plan.precision)
        placed = {"device_map": "auto"} if spread else {}
        with quiet(), _by_transformers(folder):
            tokenizer = AutoTokenizer.from_pretrained(str(folder))
            model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, **placed)
            if model.num_parameters() < _SMALL:
                torch.set_num_threads(1)
            model = (model if spread else model.to(device)).eval()
        with quiet():
            lm = SweepLM(model, tokenizer=tokenizer, batch_size=plan.batch_size, device=device)
        return cls(model, tokenizer, lm)
