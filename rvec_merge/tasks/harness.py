"""What we change in lm-eval's way with a task, and how what a task raises is worded."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from typing import Any

import lm_eval.utils
from lm_eval.api.filter import Filter

from rvec_merge.answer.find import after
from rvec_merge.errors import RvecError, TaskError, why


@contextmanager
def foreign_task(name: str) -> Iterator[None]:
    """Word what lm-eval, ``datasets`` or a task's own functions raise of a task, which may be
    anything: a task file is a program.

    Raises:
        TaskError: in place of whatever was raised that is no ``RvecError``.
    """
    try:
        yield
    except RvecError:
        raise
    except OSError as error:  # those of datasets and huggingface_hub are OSErrors without a number
        if error.errno is not None:
            raise
        offline = any(os.environ.get(n) for n in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"))
        raise TaskError(
            f"The data of the task {name} cannot be fetched.",
            [why(error), *(["HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set"] if offline else [])],
            "run it once with a network, which fills the cache; or set RVEC_EVAL_DATA to a folder "
            "of local items (`rvec perturb --help`).",
        ) from error
    except Exception as error:
        raise TaskError(
            f"The task {name} cannot be built.",
            [f"{type(error).__name__}: {why(error)}"],
            "correct the task file or its data; install what it says is missing.",
        ) from error


@contextmanager
def fast_templates() -> Iterator[None]:
    """While active, a Jinja template is compiled once; lm-eval does so for every item."""
    environment = lm_eval.utils.env
    if "from_string" in vars(environment):  # an outer context is at work
        yield
        return
    environment.from_string = lru_cache(maxsize=256)(environment.from_string)
    try:
        yield
    finally:
        del environment.from_string


class _AfterThinking(Filter):  # type: ignore[misc]
    def __init__(self, end: str) -> None:
        super().__init__()
        self._end = end

    def apply(
        self, resps: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]
    ) -> list[list[str]]:
        return [[after(output, self._end)[0] for output in outputs] for outputs in resps]


def read_after(task: Any, end: str) -> None:
    """Have a generating task's filters, and its metric ``answer``, see what follows ``end`` alone.

    The outputs themselves are recorded whole. A second call with the same task changes nothing.
    """
    if task.config.output_type != "generate_until" or getattr(task, "think_end", None) == end:
        return
    for ensemble in task._filters:
        ensemble.filters.insert(0, partial(_AfterThinking, end))
    task.think_end = end


@contextmanager
def one_look_at_the_machine() -> Iterator[None]:
    """While active, lm-eval's results repeat one description of the machine and the checkout.

    It runs ``pip`` and a dozen other programs, two seconds for each of an experiment's cells.
    """
    import lm_eval.evaluator as evaluator
    import torch.utils.collect_env as collect_env

    before = collect_env.get_pretty_env_info, evaluator.get_git_commit_hash
    collect_env.get_pretty_env_info = partial(_machine, before[0])
    evaluator.get_git_commit_hash = _commit
    try:
        yield
    finally:
        collect_env.get_pretty_env_info, evaluator.get_git_commit_hash = before


@cache
def _machine(describe: Callable[[], str]) -> str:
    return describe()


@cache
def _commit() -> str | None:
    """lm-eval's ``git_hash``; git's complaint outside a checkout stays off the terminal."""
    from lm_eval.loggers.utils import get_commit_from_path

    command = ["git", "describe", "--always"]
    try:
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    except (subprocess.CalledProcessError, OSError):
        found: str | None = get_commit_from_path(os.getcwd())
        return found
