"""What is shown of an experiment's rows."""

from dataclasses import replace

from rvec_merge.results.read import Results
from rvec_merge.results.rows import about_steps, columns, differing_effective


def test_a_column_that_says_nothing_is_left_out(results: Results) -> None:
    rows = results.rows("rvec_tiny")
    shown = {column.title: column for column in columns(rows, binary=True)}
    assert shown["n"].constant
    assert shown["difference"].texts[0] == ""  # the target is compared with nothing
    assert "truncated %" not in shown  # no output was
    cut = [replace(rows[0], truncated=0.25), *rows[1:]]
    last = {column.title: column for column in columns(cut, binary=True)}["truncated %"]
    assert (last.texts[0], last.values[0]) == ("25.0", 25.0)


def test_a_scale_is_told_again_where_rounding_left_another() -> None:
    assert [differing_effective(0.5, left) for left in (None, 0.501, 0.4)] == [None, None, 0.4]


def test_what_is_left_of_a_gain_once_the_steps_are_forced_is_told(results: Results) -> None:
    rows = results.rows("rvec_tiny")
    (said,) = about_steps(rows, results.summary.scale)
    assert said.startswith("rvec_tiny: the vector writes ")
    vector = next(row for row in rows if row.cell.condition == "target + 0.5 vector")
    forced = replace(vector, cell=replace(vector.cell, forced=True))
    (more,) = about_steps([*rows, forced], results.summary.scale)
    assert more.startswith(f"{said} Made to write the steps first, the target alone scores ")
