"""What lm-eval says of the machine, found out once."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch.utils.collect_env as collect_env

_describe = functools.cache(collect_env.get_pretty_env_info)


@contextmanager
def one_look_at_the_machine() -> Iterator[None]:
    """While active, lm-eval's results repeat one description instead of making it anew.

    It runs ``pip`` and a dozen other programs, two seconds for each of an experiment's cells.
    """
    original = collect_env.get_pretty_env_info
    collect_env.get_pretty_env_info = _describe
    try:
        yield
    finally:
        collect_env.get_pretty_env_info = original
