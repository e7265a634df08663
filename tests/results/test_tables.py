"""The tables that people paste, and the unrounded one."""

import csv
import io

from rvec_merge.results.read import Results
from rvec_merge.results.tables import candidates_table, cells_csv, conditions_table, markdown


def test_every_row_is_in_the_csv_unrounded(results: Results) -> None:
    rows = results.summary.rows
    read = list(csv.DictReader(io.StringIO(cells_csv(rows))))
    assert [r["condition"] for r in read] == [row.cell.condition for row in rows]
    assert [float(r["mean"]) for r in read] == [row.level.mean for row in rows]
    assert [r["p"] == "" for r in read] == [row.comparison is None for row in rows]


def test_the_summary_holds_both_tables_and_the_rule(results: Results) -> None:
    text = markdown(results.summary, results.plan, "the recipe")
    assert conditions_table(results.rows("rvec_sciq")) in text
    assert f"```text\n{results.summary.rule}\n```" in text
    units = {candidate.task: True for candidate in results.summary.candidates}
    curve = candidates_table(results.summary.candidates, units)
    assert curve in text
    assert "| mean |" in candidates_table(results.summary.candidates, dict.fromkeys(units, False))
