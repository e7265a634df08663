"""Which cell a free worker takes: weights change as rarely as possible, long cells go first."""

from collections.abc import Callable, Collection, Iterable

from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.tasks import TaskBook

# Forward passes of a choice that is scored, in generated tokens.
_SCORED = 4


class CellQueue:
    """Cells not taken yet, grouped by their weights.

    A worker stays with its weights while cells of them are left. Then it takes on weights that no
    other worker has; only when there are none does it share, so that nobody idles at the end.
    """

    def __init__(self, cells: Iterable[Cell], cost: Callable[[Cell], float]) -> None:
        self._groups: dict[State, list[Cell]] = {}
        self._cost = cost
        for cell in cells:
            self.put(cell)

    def put(self, cell: Cell) -> None:
        """Add a cell, or give one back that was taken."""
        group = self._groups.setdefault(cell.state, [])
        group.append(cell)
        group.sort(key=self._cost, reverse=True)

    def take(self, held: State | None, others: Collection[State | None]) -> Cell:
        """The next cell of a worker.

        Args:
            held: the weights that the worker has.
            others: those that the other workers have.
        """
        state = held if held in self._groups else self._next(others)
        assert state is not None
        group = self._groups[state]
        cell = group.pop(0)
        if not group:
            del self._groups[state]
        return cell

    def __bool__(self) -> bool:
        return bool(self._groups)

    def _next(self, others: Collection[State | None]) -> State:
        free = [state for state in self._groups if state not in others]
        return max(free or self._groups, key=self._weight)

    def _weight(self, state: State) -> tuple[float, float]:
        costs = [self._cost(cell) for cell in self._groups[state]]
        return costs[0], sum(costs)


def expected_cost(plan: Plan, book: TaskBook) -> Callable[[Cell], float]:
    """How long a cell takes, as far as its task tells.

    Units: generated tokens at most, over all items.
    """

    def cost(cell: Cell) -> float:
        total = 0
        sizes = book.items(cell.variant, plan.limit)
        for name, task in book.tasks(cell.variant).items():
            tokens = _SCORED
            if task.config.output_type == "generate_until":
                own = (task.config.generation_kwargs or {}).get("max_gen_toks", 256)
                tokens = plan.generation_of(cell.task).max_gen_toks or own
            total += tokens * len(sizes[name]) * plan.task(cell.task).samples
        return total

    return cost
