"""Telling the habit of writing steps from the ability to: what the outputs and forcing show."""

from collections.abc import Iterable

from rvec_merge.experiment.conditions import TARGET, Cell, State
from rvec_merge.results import wording
from rvec_merge.results.summary import Row


def about_steps(rows: Iterable[Row], scale: float) -> list[str]:
    """One sentence per task on how the vector changed what is written, where that is known."""
    by_cell = {row.cell: row for row in rows}
    tasks = dict.fromkeys(cell.task for cell in by_cell)
    sentences = [_sentence(task, by_cell, State("vector", scale)) for task in tasks]
    return [sentence for sentence in sentences if sentence]


def _sentence(task: str, rows: dict[Cell, Row], vector: State) -> str:
    before, after = rows[Cell(task, TARGET)], rows[Cell(task, vector)]
    parts = []
    if before.tokens is not None and after.tokens is not None:
        parts.append(f"outputs of {after.tokens:.1f} tokens instead of {before.tokens:.1f}")
    if before.steps is not None and after.steps is not None:
        parts.append(f"{after.steps:.2f} worked steps instead of {before.steps:.2f}")
    shares = [None if row.parsable is None else f"{row.parsable:.1%}" for row in (before, after)]
    if None not in shares and shares[0] != shares[1]:
        parts.append(f"an answer in {shares[1]} of them instead of {shares[0]}")
    said = f"{task}: the vector writes {', '.join(parts)}." if parts else ""
    forced = rows.get(Cell(task, vector, forced=True))
    free = after.comparison
    if forced is None or forced.comparison is None or free is None:
        return said
    left, binary = forced.comparison, forced.comparison.binary
    target = wording.level(left.baseline, binary=binary)
    moved = wording.level(left.condition, binary=binary)
    return (
        f"{said} Made to write the steps first, the target alone scores {target} and with the "
        f"vector {moved}: of a difference of {wording.change(free.difference, binary=binary)}, "
        f"{wording.change(left.difference, binary=binary)} ({wording.interval(left)}) is left "
        "once both write them."
    )
