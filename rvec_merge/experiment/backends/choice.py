"""Which backend evaluates, as plain data: a Ray worker makes its own from it."""

from dataclasses import dataclass
from typing import Literal

from rvec_merge.experiment.backends.base import Backend
from rvec_merge.experiment.backends.hf import Transformers
from rvec_merge.experiment.backends.vllm import Vllm


@dataclass(frozen=True)
class BackendChoice:
    """A backend's name and how it is to be set up.

    Attributes:
        device: cpu, or the CUDA device that holds the model.
        devices: how many share the model.
        max_model_len, memory: see ``Vllm``.
    """

    name: Literal["hf", "vllm"] = "hf"
    device: str = "cpu"
    devices: int = 1
    max_model_len: int | None = None
    memory: float | None = None

    def backend(self) -> Backend:
        """The backend; nothing is loaded yet."""
        if self.name == "hf":
            return Transformers(self.device, spread=self.devices > 1)
        return Vllm(self.device, self.devices, self.max_model_len, self.memory)
