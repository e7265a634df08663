"""Which cell a free worker takes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.engines.queue import CellQueue, expected_cost
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.tasks import TaskBook


def cell(state: int, cost: int, name: int = 0) -> Cell:
    return Cell(f"{cost}/{name}", State("random", 1.0, state))


def cost(cell: Cell) -> float:
    return float(cell.task.partition("/")[0])


def test_long_cells_first_and_the_weights_kept() -> None:
    queue = CellQueue([cell(0, 1), cell(1, 5), cell(0, 3), cell(1, 2)], cost)
    taken = []
    held = None
    while queue:
        taken.append(queue.take(held, []))
        held = taken[-1].state
    assert taken == [cell(1, 5), cell(1, 2), cell(0, 3), cell(0, 1)]


def test_weights_of_others_are_shared_only_when_none_are_free() -> None:
    queue = CellQueue([cell(0, 9, n) for n in range(3)] + [cell(1, 1)], cost)
    assert queue.take(None, []) == cell(0, 9)
    assert queue.take(None, [cell(0, 0).state]) == cell(1, 1)
    assert queue.take(cell(1, 0).state, [cell(0, 0).state]).state == cell(0, 0).state


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=40),
    st.integers(1, 6),
)
def test_each_cell_is_taken_once_and_little_is_shared(
    sizes: list[tuple[int, int]], workers: int
) -> None:
    cells = [cell(state, cost, i) for i, (state, cost) in enumerate(sizes)]
    queue = CellQueue(cells, cost)
    free_at = [0.0] * workers
    held: list[State | None] = [None] * workers
    taken: list[Cell] = []
    changes = 0
    while queue:
        w = free_at.index(min(free_at))
        taken.append(queue.take(held[w], [s for i, s in enumerate(held) if i != w]))
        changes += held[w] != taken[-1].state
        held[w] = taken[-1].state
        free_at[w] += cost(taken[-1])
    assert Counter(taken) == Counter(cells)
    # Each state once; and at most once more for each worker and state that helps to finish it.
    states = len({c.state for c in cells})
    assert changes <= states + (workers - 1) * states
    # Nobody idles while work is left: at most the last cell sticks out.
    assert max(free_at) <= sum(map(cost, cells)) / workers + max(map(cost, cells))


def test_the_cost_counts_outputs_and_their_length() -> None:
    plan = Plan.model_validate(
        {
            "recipe": "recipes/tiny.yaml",
            "tasks": [{"task": "rvec_tiny", "validation": "rvec_tiny_validation"}],
            "scales": [1.0],
            "selection": {"by": "validation"},
            "generation": {"max_gen_toks": 100},
        }
    )
    estimate = expected_cost(plan, TaskBook())
    assert estimate(Cell("rvec_tiny", State("target"))) == 600 * 100
    assert estimate(Cell("rvec_tiny_validation", State("target"))) == 270 * 100
