"""What Markdown, the card and the page show of an experiment's rows: columns, and a sentence."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rvec_merge.experiment.conditions import TARGET, Cell, State
from rvec_merge.results import wording
from rvec_merge.results.summary import Row
from rvec_merge.stats.significance import Comparison

_DIFFERS = 0.01  # of the scale; below it an effective scale would repeat the scale


@dataclass(frozen=True)
class Column:
    """One column: what is shown, and what it sorts by."""

    title: str
    texts: tuple[str, ...]
    values: tuple[float | None, ...]
    wide: bool  # left out on narrow screens, and told in the row's small print

    @property
    def constant(self) -> bool:
        """Whether every row says the same."""
        return len(self.texts) > 1 and len(set(self.texts)) == 1


def columns(rows: Sequence[Row], *, binary: bool) -> list[Column]:
    """The columns of one task's rows that say anything, their condition aside."""

    def column(
        title: str,
        value: Callable[[Row], float | None],
        text: Callable[[Row], str],
        *,
        wide: bool = True,
    ) -> Column:
        values = tuple(value(row) for row in rows)
        pairs = zip(rows, values, strict=True)
        return Column(title, tuple("" if v is None else text(r) for r, v in pairs), values, wide)

    def number(
        title: str, value: Callable[[Row], float | None], form: str, factor: float = 1
    ) -> Column:
        def text(row: Row) -> str:
            return format(factor * (value(row) or 0.0), form).replace("-", "−")

        return column(title, lambda r: _times(factor, value(r)), text)

    def of(name: str) -> Callable[[Row], Any]:
        return lambda row: row.comparison and getattr(row.comparison, name)

    def change(row: Row) -> str:
        return wording.change(_tested(row).difference, binary=binary)

    mean, moved = ("accuracy %", "fixed · broken") if binary else ("mean", "higher · lower")
    any_cut = any(row.truncated for row in rows)
    found = [
        column("n", lambda r: r.level.n, lambda r: str(r.level.n)),
        column(mean, lambda r: r.level.mean, partial(_level, binary), wide=False),
        column("difference", of("difference"), change, wide=False),
        column("95 % interval, alone", of("low"), lambda r: wording.interval(_tested(r))),
        column(
            "p, Holm",
            lambda r: r.p_adjusted,
            lambda r: wording.p_value(r.p_adjusted or 0.0),
            wide=False,
        ),
        column(moved, of("rose"), lambda r: f"{_tested(r).rose} · {_tested(r).fell}"),
        number(
            "effective scale",
            lambda r: differing_effective(r.cell.state.scale, r.effective_scale),
            ".2f",
        ),
        number("tokens", lambda r: r.tokens, ".1f"),
        number("steps", lambda r: r.steps, ".2f"),
        number("parsable %", lambda r: r.parsable, ".1f", 100),
        number("truncated %", lambda r: r.truncated if any_cut else None, ".1f", 100),
    ]
    for name in dict.fromkeys(name for row in rows for name in row.shares):
        found.append(number(f"{name} %", partial(_share, name), ".1f", 100))
    return [one for one in found if any(one.texts)]


def _tested(row: Row) -> Comparison:
    assert row.comparison is not None
    return row.comparison


def _level(binary: bool, row: Row) -> str:
    return wording.level(row.level, binary=binary)


def _share(name: str, row: Row) -> float | None:
    return row.shares.get(name)


def differing_effective(scale: float, effective: float | None) -> float | None:
    """What rounding left of a scale, where that is another number."""
    if effective is None or abs(effective - scale) <= _DIFFERS * abs(scale):
        return None
    return effective


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def about_steps(rows: Iterable[Row], scale: float) -> list[str]:
    """One sentence per task on how the vector changed what is written, where that is known.

    It tells the habit of writing steps from the ability to: by the outputs, and by forcing them.
    """
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
