"""The same cells on a Ray cluster: one worker per GPU, each with one resident model."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.errors import EnvironmentProblem
from rvec_merge.experiment.backends.choice import BackendChoice
from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.engines.base import Failed
from rvec_merge.experiment.engines.cluster import Cluster
from rvec_merge.experiment.engines.queue import CellQueue, expected_cost
from rvec_merge.experiment.engines.worker import Job, Worker
from rvec_merge.experiment.runner import CellRunner, Evaluated, Items

RETRIES = 3
_PATIENCE = 600.0  # seconds for the first worker to start: clusters that grow take minutes
# What decides how a cell runs. Not HF_HOME and not HF_TOKEN: those are each machine's own.
_FORWARDED = ("RVEC_", "VLLM_", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TOKENIZERS_PARALLELISM")


@dataclass
class _Desk:
    """A place for one worker; the worker in it changes when one dies."""

    actor: Any
    loaded: bool = False
    cell: Cell | None = None
    state: State | None = None
    died_loading: int = 0


class RayEngine:
    """Runs cells on the workers of a cluster that was joined.

    A cell whose worker dies is run by another one, ``RETRIES`` times. A cell that raises is not
    run again: it would raise again.

    Args:
        start: starts one worker: an actor with the methods of ``Worker``.
        workers: how many there are to be.
        cost: how long a cell takes, in any unit.
        begin: told of each cell that is handed out.

    Raises:
        EnvironmentProblem: no worker starts, or none can load the target.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        workers: int,
        cost: Callable[[Cell], float],
        begin: Callable[[Cell], None],
    ) -> None:
        import ray

        self._ray = ray
        self._start = start
        self._workers = workers
        self._cost = cost
        self._begin = begin
        self._desks: list[_Desk] = []
        self._pending: dict[Any, _Desk] = {}
        self._ready: list[Any] = []
        self._why: list[str] = []

    @classmethod
    def on(
        cls,
        cluster: Cluster,
        runner: CellRunner,
        choice: BackendChoice,
        begin: Callable[[Cell], None],
    ) -> "RayEngine":
        """The engine whose workers do what ``runner`` would do here."""
        import ray

        job = Job(
            runner.plan.model_dump_json(),
            runner.recipe.text,
            runner.recipe.source,
            str(Path.cwd()),
            {k: v for k, v in os.environ.items() if k.startswith(_FORWARDED)},
            choice,
        )
        actor = ray.remote(Worker).options(
            num_cpus=cluster.cpus, num_gpus=cluster.gpus, scheduling_strategy="SPREAD"
        )
        cost = expected_cost(runner.plan, runner.book)
        return cls(lambda: actor.remote(job), cluster.workers, cost, begin)

    def run(self, cells: Mapping[Cell, Items | None]) -> Iterator[Evaluated | Failed]:
        queue = CellQueue(cells, self._cost)
        lost: Counter[Cell] = Counter()
        while len(self._desks) < min(self._workers, len(cells)):
            self._desks.append(desk := _Desk(self._start()))
            self._load(desk)
        while queue or any(desk.cell for desk in self._desks):
            self._hand_out(queue, cells)
            reference, desk = self._next()
            cell, desk.cell = desk.cell, None
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                answer = str(error) if cell is None else Failed(cell, "RayTaskError", str(error))
            except self._ray.exceptions.RayError as error:
                self._replace(desk, str(error))
                if cell is None:
                    continue
                lost[cell] += 1
                if lost[cell] <= RETRIES:
                    queue.put(cell)
                else:
                    yield Failed(cell, f"its worker died {lost[cell]} times", str(error))
                continue
            if cell is not None:
                yield answer
            elif answer is None:
                desk.loaded = True
            else:
                self._close(desk, answer)

    def _hand_out(self, queue: CellQueue, cells: Mapping[Cell, Items | None]) -> None:
        for desk in self._desks:
            if queue and desk.loaded and desk.cell is None:
                others = {other.state for other in self._desks if other is not desk}
                desk.cell = queue.take(desk.state, others)
                desk.state = desk.cell.state
                self._begin(desk.cell)
                self._pending[desk.actor.run.remote(desk.cell, cells[desk.cell])] = desk

    def _next(self) -> tuple[Any, _Desk]:
        """The next answer: of a cell, or of a worker that has loaded."""
        if not self._desks:
            raise EnvironmentProblem(
                "No worker could load the target.",
                self._why[-1].strip().splitlines()[-6:],
                "make sure that every node has the models at the same paths, and the memory.",
            )
        while not self._ready:
            waiting = list(self._pending)
            if self._ray.wait(waiting, num_returns=1, timeout=_PATIENCE)[0]:
                # All there are, since one question costs the driver as much as one answer.
                self._ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
            elif not any(desk.loaded for desk in self._desks):
                raise EnvironmentProblem(
                    f"No worker has started for {_PATIENCE / 60:g} minutes.",
                    [f"{len(self._desks)} are waiting for a place"],
                    "see `ray status`: the cluster may be busy, or its nodes gone.",
                )
        reference = self._ready.pop()
        return reference, self._pending.pop(reference)

    def _load(self, desk: _Desk) -> None:
        self._pending[desk.actor.load.remote()] = desk

    def _replace(self, desk: _Desk, why: str) -> None:
        """Put a new worker in the place of one that died."""
        desk.died_loading = 0 if desk.loaded else desk.died_loading + 1
        if desk.died_loading > RETRIES:
            self._close(desk, why)
            return
        self._ray.kill(desk.actor)  # it may only have been out of reach
        desk.actor, desk.loaded, desk.state = self._start(), False, None
        self._load(desk)

    def _close(self, desk: _Desk, why: str) -> None:
        self._why.append(why)
        self._desks.remove(desk)
