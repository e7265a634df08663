"""The conditions table, column by column: what Markdown, the card and the page show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

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
