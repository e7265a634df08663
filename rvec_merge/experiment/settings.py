"""Where an experiment is run, apart from what its plan says."""

from dataclasses import dataclass
from typing import Annotated, Literal

from rvec_merge.declare import Device, Misuse, Option

_RAY = "With --engine ray: "


@dataclass(frozen=True)
class RunSettings:
    """Where cells are run.

    Raises:
        Misuse: an option is given that the engine has no use for.
    """

    device: Device = "auto"
    confirm_run_unsafe_code: Annotated[
        bool, Option("Run the code that models write, where a task (HumanEval) asks for it.")
    ] = False
    engine: Annotated[
        Literal["local", "ray"], Option("This process, or workers on a Ray cluster.")
    ] = "local"
    address: Annotated[
        str | None,
        Option(
            f"{_RAY}auto, HOST:PORT or ray://HOST:PORT; by default a cluster on this machine."
        ),
    ] = None
    workers: Annotated[int | None, Option(f"{_RAY}how many; as many as fit.", least=1)] = None
    cpus_per_worker: Annotated[float | None, Option(f"{_RAY}1 by default.", above=0)] = None
    gpus_per_worker: Annotated[
        float | None,
        Option(
            f"{_RAY}1 by default, where there are any; above 1, a worker's GPUs share a model.",
            least=0,
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.engine == "ray":
            if self.device != "auto":
                raise Misuse("--device goes with --engine local; see --gpus-per-worker.")
            return
        for name in ("address", "workers", "cpus_per_worker", "gpus_per_worker"):
            if getattr(self, name) is not None:
                raise Misuse(f"--{name.replace('_', '-')} goes with --engine ray.")
