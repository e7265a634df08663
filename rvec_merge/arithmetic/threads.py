"""Threads of our own instead of torch's."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread_each() -> Iterator[int]:
    """Keep torch from splitting operations, for threads of ours; yields how many it was given.

    Torch's own threads would split every block, and blocks this small are far slower for it. Where
    torch was not imported there is nothing to keep from it, and there are as many as cores.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield os.cpu_count() or 1
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
