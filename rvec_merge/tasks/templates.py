"""Compile each Jinja template once: lm-eval compiles it again for every item and few-shot."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import lm_eval.utils


@contextmanager
def fast_templates() -> Iterator[None]:
    """While active, lm-eval's templates are compiled once; prompts are the same."""
    environment = lm_eval.utils.env
    if "from_string" in vars(environment):  # an outer context is at work
        yield
        return
    environment.from_string = lru_cache(maxsize=256)(environment.from_string)
    try:
        yield
    finally:
        del environment.from_string
