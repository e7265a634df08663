"""What lm-eval says of the machine and the checkout, found out once."""

import functools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import lm_eval.evaluator as evaluator
import torch.utils.collect_env as collect_env
from lm_eval.loggers.utils import get_commit_from_path

_describe = functools.cache(collect_env.get_pretty_env_info)


@functools.cache
def _commit() -> str | None:
    """lm-eval's ``git_hash``; git's complaint outside a checkout stays off the terminal."""
    command = ["git", "describe", "--always"]
    try:
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    except (subprocess.CalledProcessError, OSError):
        found: str | None = get_commit_from_path(os.getcwd())
        return found


@contextmanager
def one_look_at_the_machine() -> Iterator[None]:
    """While active, lm-eval's results repeat one description instead of making it anew.

    It runs ``pip`` and a dozen other programs, two seconds for each of an experiment's cells.
    """
    before = collect_env.get_pretty_env_info, evaluator.get_git_commit_hash
    collect_env.get_pretty_env_info, evaluator.get_git_commit_hash = _describe, _commit
    try:
        yield
    finally:
        collect_env.get_pretty_env_info, evaluator.get_git_commit_hash = before
