"""Where an experiment is run, and what a command changes in its plan."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rvec_merge.declare import Device, Misuse, Option

_RAY = "With --engine ray: "
_VLLM = "With --backend vllm: "


@dataclass(frozen=True)
class RunSettings:
    """Where cells are run.

    Raises:
        Misuse: an option is given that the engine or the backend has no use for.
    """

    device: Device = "auto"
    confirm_run_unsafe_code: Annotated[
        bool, Option("Run the code that models write, where a task (HumanEval) asks for it.")
    ] = False
    extend: Annotated[
        bool,
        Option("Of finished results: run outputs that were cut off again, with twice the tokens."),
    ] = False
    backend: Annotated[
        Literal["hf", "vllm"],
        Option("What generates: transformers, or vLLM. Cells of the two are never compared."),
    ] = "hf"
    max_model_len: Annotated[
        int | None,
        Option(f"{_VLLM}tokens of the longest prompt with its output.", least=1),
    ] = None
    gpu_memory_utilization: Annotated[
        float | None, Option(f"{_VLLM}share of a GPU's memory that it takes.", above=0, most=1)
    ] = None
    tensor_parallel: Annotated[
        int | None,
        Option(f"{_VLLM}devices that share a model; with Ray, --gpus-per-worker.", least=1),
    ] = None
    engine: Annotated[
        Literal["local", "ray"], Option("This process, or workers on a Ray cluster.")
    ] = "local"
    address: Annotated[
        str | None,
        Option(f"{_RAY}auto, HOST:PORT or ray://HOST:PORT; by default a cluster on this machine."),
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
        if self.backend == "hf":
            for name in ("max_model_len", "gpu_memory_utilization", "tensor_parallel"):
                if getattr(self, name) is not None:
                    raise Misuse(f"--{name.replace('_', '-')} goes with --backend vllm.")
        if self.engine == "ray":
            if self.device != "auto":
                raise Misuse("--device goes with --engine local; see --gpus-per-worker.")
            if self.tensor_parallel is not None:
                raise Misuse("--tensor-parallel goes with --engine local; see --gpus-per-worker.")
            return
        for name in ("address", "workers", "cpus_per_worker", "gpus_per_worker"):
            if getattr(self, name) is not None:
                raise Misuse(f"--{name.replace('_', '-')} goes with --engine ray.")


@dataclass(frozen=True)
class Changes:
    """What a command changes in a plan; ``set_keys`` goes last."""

    tasks: Annotated[
        str | None, Option("Of the plan, or others: these tasks alone, with commas between.")
    ] = None
    limit: Annotated[int | None, Option("Items per task.", least=1)] = None
    batch_size: Annotated[
        str | None, Option("Sequences at a time; auto: what a GPU holds.", metavar="N|auto")
    ] = None
    set_keys: Annotated[
        tuple[str, ...],
        Option(
            "Change a key of the plan: generation.max_gen_toks=512; may be repeated.",
            ("--set",),
            "KEY=VALUE",
        ),
    ] = ()

    def applied(self, plan: Any) -> Any:
        """The plan with the changes; what is no mapping is left for the plan's own check.

        Raises:
            PlanError: a change is not KEY=VALUE, or its key leads through something else.
        """
        from rvec_merge.errors import PlanError
        from rvec_merge.recipe.yaml import load_yaml

        if not isinstance(plan, dict):
            return plan
        plan = dict(plan)
        if self.tasks is not None:
            plan["tasks"] = self._tasks(plan.get("tasks"))
        if self.limit is not None:
            plan["limit"] = self.limit
        if self.batch_size is not None:
            size = self.batch_size
            plan["batch_size"] = int(size) if size.isdecimal() else size
        for change in self.set_keys:
            key, equals, value = change.partition("=")
            if not equals or not key:
                raise PlanError(
                    "A change of the plan is not KEY=VALUE.", [change], "write --set limit=100."
                )
            _set(plan, key, load_yaml(value, source=f"--set {change}", error=PlanError))
        return plan

    def _tasks(self, planned: Any) -> list[Any]:
        known = {}
        for task in planned if isinstance(planned, list) else []:
            known[task["task"] if isinstance(task, dict) and "task" in task else str(task)] = task
        return [known.get(name.strip(), name.strip()) for name in (self.tasks or "").split(",")]


def _set(plan: dict[str, Any], key: str, value: Any) -> None:
    from rvec_merge.errors import PlanError

    *path, last = key.split(".")
    place = plan
    for name in path:
        inner = place.get(name, {})
        if not isinstance(inner, dict):
            raise PlanError(
                "A change of the plan leads through what holds no keys.",
                [f"--set {key}", f"{name}: {inner}"],
                "name a key of the plan, or key.key.",
            )
        place[name] = dict(inner)
        place = place[name]
    place[last] = value
