"""Threads of our own instead of torch's."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread_each() -> Iterator[int]:
    """Keep torch from splitting operations, for threads of ours; yields how many it was given.

    Torch's own threads would split every block, and blocks this small are far slower for it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
