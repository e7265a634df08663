"""Stream a plan's tensors through the kernel, block by block, on a few threads."""

import os
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event

import numpy as np

from rvec_merge.arithmetic.dtypes import Array
from rvec_merge.arithmetic.effect import Effect, Sample, Sums, combine
from rvec_merge.arithmetic.loop import BlockLoop, block_of
from rvec_merge.arithmetic.threads import one_thread_each
from rvec_merge.checkpoint.layout import Shard
from rvec_merge.plan.merge_plan import MergePlan
from rvec_merge.plan.tensors import PlannedTensor

Progress = Callable[[int], None]  # is told of bytes read and written
_BLOCKS_PER_TASK = 16
_SYNC_EVERY = 0.5  # seconds


@dataclass(frozen=True)
class _Task:
    """Blocks of one tensor that one thread works through."""

    tensor: PlannedTensor
    handle: int
    offset: int  # of the tensor, in the file
    start: int
    stop: int


def execute(
    plan: MergePlan,
    shards: Sequence[Shard],
    folder: Path,
    *,
    device: str,
    workers: int,
    progress: Progress = lambda nbytes: None,
) -> Effect | None:
    """Write the shards of a plan into ``folder``.

    Memory: a few blocks per thread; about eight float32 copies of a tensor where a
        density needs its whole order.

    Raises:
        NonFiniteError: an input or the result holds NaN or Inf.
        CheckpointError: an input became unreadable.
        OSError: the disk is full.
    """
    run = _Run(plan, device, progress)
    handles: list[int] = []
    try:
        for shard in shards:
            handles.append(shard.create(folder))
        for task in _tasks(plan, shards, handles, run.block * _BLOCKS_PER_TASK):
            run.queue.put(task)
        with one_thread_each(), ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(run.work) for _ in range(workers)]
            try:
                _wait(futures, handles)
            finally:
                run.stop.set()
    finally:
        for handle in handles:
            os.close(handle)
    sums = {name: [strips[i] for i in sorted(strips)] for name, strips in run.sums.items()}
    return combine((tensor.numel, sums[tensor.name]) for tensor in plan.tensors)


def _wait(futures: Sequence[Future[None]], handles: Sequence[int]) -> None:
    """Wait for the threads; what they have written goes to the disk meanwhile, and at the end."""
    pending: Set[Future[None]] = set(futures)
    while pending:
        done, pending = wait(pending, timeout=_SYNC_EVERY, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        for handle in handles:
            os.fsync(handle)


def _tasks(
    plan: MergePlan, shards: Sequence[Shard], handles: Sequence[int], size: int
) -> Iterator[_Task]:
    tensors = {tensor.name: tensor for tensor in plan.tensors}
    for shard, handle in zip(shards, handles, strict=True):
        for name, offset in shard.offsets.items():
            tensor = tensors[name]
            # A mask needs the whole tensor's order, so one thread does it all.
            whole = tensor.value is not None or tensor.parameters["density"] < 1
            step = max(tensor.numel, 1) if whole else size
            for start in range(0, tensor.numel, step):
                yield _Task(tensor, handle, offset, start, min(start + step, tensor.numel))


class _Run:
    """What the threads of one merge share."""

    def __init__(self, plan: MergePlan, device: str, progress: Progress) -> None:
        self.queue: SimpleQueue[_Task] = SimpleQueue()
        self.stop = Event()
        self.sums: dict[str, dict[int, Sums]] = {tensor.name: {} for tensor in plan.tensors}
        self.sample = Sample.of(sum(tensor.numel for tensor in plan.tensors))
        self.device = device
        self.block = block_of(device)
        self.progress = progress

    def work(self) -> None:
        """Take tasks until none is left, or another thread has failed."""
        loop = BlockLoop(self.device)
        try:
            while not self.stop.is_set():
                self._do(self.queue.get_nowait(), loop)
        except Empty:
            return
        except BaseException:
            self.stop.set()
            raise

    def _do(self, task: _Task, loop: BlockLoop) -> None:
        tensor = task.tensor
        if tensor.value is not None:
            _write(task.handle, tensor.value.reshape(-1), task.offset)
            self.progress(tensor.nbytes)
            return
        read = tensor.nbytes_read / tensor.numel
        for block in loop.merge(
            *tensor.open(),
            tensor.dtype,
            start=task.start,
            stop=task.stop,
            sample=self.sample,
            scale=tensor.scale,
            name=tensor.name,
            target_name=str(tensor.target),
        ):
            _write(task.handle, block.values, task.offset + block.start * tensor.dtype.itemsize)
            self.sums[tensor.name].update(block.sums)
            self.progress(int(block.values.size * (read + tensor.dtype.itemsize)))
            if self.stop.is_set():
                return


def _write(handle: int, values: Array, offset: int) -> None:
    data = values.view(np.uint8).data
    while data:
        count = os.pwrite(handle, data, offset)
        data, offset = data[count:], offset + count
