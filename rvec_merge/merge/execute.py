"""Stream a plan's tensors through the kernel, block by block, on a few threads."""

import os
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event

import torch
from torch import Tensor

from rvec_merge.arithmetic.effect import Effect, Sample, Sums, combine, measure
from rvec_merge.arithmetic.kernel import (
    BLOCK,
    BlockMerger,
    Delta,
    Source,
    accumulation_dtype,
    non_finite,
    sparsified,
)
from rvec_merge.arithmetic.threads import one_thread_each
from rvec_merge.checkpoint.layout import Shard
from rvec_merge.checkpoint.sources import OnDevice
from rvec_merge.plan.merge_plan import MergePlan, PlannedTensor

Progress = Callable[[int], None]  # is told of bytes read and written
# Elements. A card's blocks make up for the time a kernel takes to launch and a copy to start.
_ACCELERATOR_BLOCK = 1 << 23
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
    device: torch.device,
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
    block = BLOCK if device.type == "cpu" else _ACCELERATOR_BLOCK
    run = _Run(plan, device, block, progress)
    handles: list[int] = []
    try:
        for shard in shards:
            handles.append(shard.create(folder))
        for task in _tasks(plan, shards, handles, block * _BLOCKS_PER_TASK):
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

    def __init__(
        self, plan: MergePlan, device: torch.device, block: int, progress: Progress
    ) -> None:
        self.queue: SimpleQueue[_Task] = SimpleQueue()
        self.stop = Event()
        self.sums: dict[str, dict[int, Sums]] = {tensor.name: {} for tensor in plan.tensors}
        self.sample = Sample.of(sum(tensor.numel for tensor in plan.tensors))
        self.device = device
        self.block = block
        self.progress = progress

    def work(self) -> None:
        """Take tasks until none is left, or another thread has failed."""
        worker = _Worker(self)
        try:
            while not self.stop.is_set():
                worker.do(self.queue.get_nowait())
        except Empty:
            return
        except BaseException:
            self.stop.set()
            raise


class _Worker:
    """One thread's buffers."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._mergers: dict[torch.dtype, BlockMerger] = {}
        self._outs: dict[torch.dtype, Tensor] = {}
        self._stream: torch.cuda.Stream | None = None
        if run.device.type == "cuda":
            self._stream = torch.cuda.Stream(run.device)  # type: ignore[no-untyped-call]

    def do(self, task: _Task) -> None:
        if task.tensor.value is not None:
            _write(task.handle, task.tensor.value.reshape(-1), task.offset)
            self._run.progress(task.tensor.nbytes)
        elif self._stream is None:
            self._merge(task)
        else:
            with torch.cuda.device(self._run.device), torch.cuda.stream(self._stream):
                self._merge(task)

    def _merge(self, task: _Task) -> None:
        tensor, block = task.tensor, self._run.block
        target, deltas = tensor.open()
        inputs = [target, *(source for delta in deltas for _, source in delta.inputs)]
        dtype = accumulation_dtype([source.dtype for source in inputs])
        ready = [sparsified(delta, dtype) for delta in deltas]
        if self._run.device.type != "cpu":
            target, ready = self._on_device(target), [self._delta_on_device(d) for d in ready]
        merger = self._merger(dtype)
        read = tensor.nbytes_read / tensor.numel
        for start in range(task.start, task.stop, block):
            if self._run.stop.is_set():
                return
            out = self._out(tensor.dtype)[: min(block, task.stop - start)]
            if not merger.merge(target, ready, out, start):
                target, deltas = tensor.open()
                raise non_finite(target, deltas, name=tensor.name, target_name=str(tensor.target))
            _write(task.handle, out, task.offset + start * tensor.dtype.itemsize)
            strips = self._run.sample.strips(tensor.name, tensor.numel, start, start + out.numel())
            self._run.sums[tensor.name].update(
                measure(strips, merger, target, ready, tensor.scale, out, start)
            )
            self._run.progress(int(out.numel() * (read + tensor.dtype.itemsize)))

    def _merger(self, dtype: torch.dtype) -> BlockMerger:
        if dtype not in self._mergers:
            self._mergers[dtype] = BlockMerger(dtype, self._run.device, self._run.block)
        return self._mergers[dtype]

    def _out(self, dtype: torch.dtype) -> Tensor:
        if dtype not in self._outs:
            self._outs[dtype] = torch.empty(self._run.block, dtype=dtype, device=self._run.device)
        return self._outs[dtype]

    def _on_device(self, source: Source) -> Source:
        return OnDevice(source, self._run.device, self._run.block)

    def _delta_on_device(self, delta: Delta) -> Delta:
        minus = None if delta.minus is None else self._on_device(delta.minus)
        return replace(delta, plus=self._on_device(delta.plus), minus=minus)


def _write(handle: int, values: Tensor, offset: int) -> None:
    data = memoryview(values.cpu().view(torch.uint8).numpy())  # type: ignore[arg-type]
    while data:
        count = os.pwrite(handle, data, offset)
        data, offset = data[count:], offset + count
