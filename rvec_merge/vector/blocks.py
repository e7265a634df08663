"""Walk through a vector's deltas block by block, on two threads, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from threading import local
from typing import TypeVar

import numpy as np

from rvec_merge.arithmetic.dtypes import Array, accumulation_dtype
from rvec_merge.arithmetic.kernel import Delta, Source
from rvec_merge.arithmetic.packing import Squeezed, Squeezer
from rvec_merge.arithmetic.prepared import difference
from rvec_merge.arithmetic.threads import one_thread_each
from rvec_merge.errors import NonFiniteError
from rvec_merge.vector.codec import BLOCK
from rvec_merge.vector.inputs import Vector

WORKERS = 2
_AHEAD = 4 * WORKERS  # blocks in flight; bounds memory when the writer is the slowest

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Window:
    """One block of one tensor: elements ``start`` to ``stop`` of it, flattened."""

    name: str
    start: int
    stop: int


def windows(vector: Vector) -> Iterator[Window]:
    """Every block of every tensor, in the vector's order."""
    for name, shape in vector.shapes.items():
        yield from windows_of(name, shape)


def windows_of(name: str, shape: tuple[int, ...]) -> Iterator[Window]:
    """Every block of one tensor; an empty one has one empty block."""
    numel = prod(shape)
    for start in range(0, max(numel, 1), BLOCK):
        yield Window(name, start, min(start + BLOCK, numel))


class DeltaReader:
    """Reads a vector's deltas on any thread, each with sources and buffers of its own."""

    def __init__(self, vector: Vector) -> None:
        self._vector = vector
        self._local = local()

    def delta(self, name: str) -> Delta:
        """The calling thread's sources of one tensor."""
        if getattr(self._local, "name", None) != name:
            self._local.name = self._local.delta = None  # closes files that may be deleted now
            self._local.name, self._local.delta = name, self._vector.delta(name)
        delta: Delta = self._local.delta
        return delta

    def squeezed(self, window: Window) -> Squeezed:
        """One block, measured, without its zeros; the thread's next one writes over its arrays."""
        if not hasattr(self._local, "squeezer"):
            self._local.squeezer = Squeezer(BLOCK)
        named = self.delta(window.name).inputs
        found: Squeezed = self._local.squeezer.squeeze(
            *(source[window.start : window.stop] for _, source in named)
        )
        return found

    def values(self, window: Window) -> Array:
        """One block of the exact delta.

        Dtypes: float32; float64 where a source is float64.
        """
        delta = self.delta(window.name)
        dtype = accumulation_dtype([source.dtype for _, source in delta.inputs])
        return difference(delta, window.start, window.stop, dtype)

    def non_finite(self, window: Window) -> NonFiniteError:
        """The error for a block whose norm is not finite: names the tensor and the sources."""
        named = self.delta(window.name).inputs
        bad = [(role, _bad(source, window)) for role, source in named]
        facts = [f"{role}: {count} NaN or Inf" for role, count in bad if count]
        where = f"{self._vector.label}, elements {window.start} to {window.stop - 1}"
        return NonFiniteError(
            f"The delta of {window.name} is not finite.",
            [where, *(facts or ["every input is finite; the delta's norm overflows"])],
            "use an intact checkpoint; a download or a training run has gone wrong.",
        )


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result]]:
    """Apply a function on ``WORKERS`` threads; yield each item with its result, in order."""
    pending: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool, one_thread_each():
        try:
            for item in items:
                pending.append((item, pool.submit(function, item)))
                if len(pending) > _AHEAD:
                    done, result = pending.popleft()
                    yield done, result.result()
            while pending:
                done, result = pending.popleft()
                yield done, result.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _bad(source: Source, window: Window) -> int:
    return int(np.count_nonzero(~np.isfinite(source[window.start : window.stop])))
