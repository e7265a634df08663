"""What a task that others wrote may raise, worded as an error of ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

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
