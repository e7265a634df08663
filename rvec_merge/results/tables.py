"""The files that a finished experiment leaves beside its cells, tables to paste among them."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.planned import Experiment
from rvec_merge.experiment.store import CellResult, Store
from rvec_merge.results import wording
from rvec_merge.results.rows import about_steps, columns
from rvec_merge.results.summary import Candidate, Row, Summary, is_binary, summarise

SUMMARY = "summary.json"
FLIPS = "flips.json"
_NONE = ""


def write_summary(
    experiment: Experiment, scale: float, results: Mapping[Cell, CellResult], store: Store
) -> Summary:
    """Judge the results; writes ``summary.md`` and ``.json``, ``cells.csv`` and ``flips.json``."""
    summary = summarise(experiment, scale, results)
    text = json.dumps(summary.as_dict(), indent=2, sort_keys=True, ensure_ascii=False)
    store.write(SUMMARY, text + "\n")
    store.write("summary.md", markdown(summary, experiment.plan, experiment.plan.recipe))
    store.write("cells.csv", cells_csv(summary.rows))
    lines = [json.dumps(asdict(f), sort_keys=True, ensure_ascii=False) for f in summary.flips]
    store.write(FLIPS, "[\n" + ",\n".join(lines) + "\n]\n")
    return summary


def markdown(summary: Summary, plan: Plan, recipe: str) -> str:
    """The whole summary, as Markdown."""
    parts = [
        "# What the experiment found",
        f"Recipe `{recipe}`, weights in {plan.precision}; "
        f"scale {summary.scale:g}, {summary.chosen_on}. {wording.generation(plan)}",
        "\n".join(f"- **{v.finding.value}**. {wording.sentence(v)}" for v in summary.verdicts),
        "\n".join(
            f"- {said}" for said in (*summary.flags, *about_steps(summary.rows, summary.scale))
        ),
    ]
    for task in plan.tasks:
        rows = [row for row in summary.rows if row.cell.task == task.task]
        parts += [f"## {task.task}", conditions_table(rows)]
    if summary.candidates:
        units: dict[str, bool] = {}
        for task in plan.tasks:
            binary = summary.binary(task.task)
            units |= dict.fromkeys((task.task, task.validation or task.task), binary)
        parts += ["## Choosing the scale", candidates_table(summary.candidates, units)]
    parts += [
        "## How to read this",
        "Differences are from the target on the same items, with the same prompt and perturbation, "
        "in points where the metric is 0 or 1; ± is one standard error. Each interval "
        "stands alone (a score interval where the metric is 0 or 1, else a paired bootstrap), p is "
        "two-sided and adjusted (Holm) over all rows; a verdict's own p over the verdicts alone. "
        "*tokens* and *steps* are means per output, *parsable* the share of outputs "
        "an answer could be read from. " + wording.donors(plan.donors),
        f"The rule of the verdicts:\n\n```text\n{summary.rule}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def conditions_table(rows: Sequence[Row]) -> str:
    """One task's conditions, as a Markdown table; columns that say nothing are left out."""
    shown = {one.title: list(one.texts) for one in columns(rows, binary=is_binary(rows))}
    return _table({"condition": [row.cell.condition for row in rows], **shown})


def candidates_table(candidates: Sequence[Candidate], binary: Mapping[str, bool]) -> str:
    """The scale curve, as a Markdown table; ``binary`` says of a task whether its metric is 0/1."""
    level = "accuracy %" if all(binary[c.task] for c in candidates) else "mean"
    return _table(
        {
            "task": [c.task for c in candidates],
            "scale": [f"{c.scale:g}" for c in candidates],
            "effective scale": [_number(c.effective_scale, ".2f") for c in candidates],
            "n": [str(c.level.n) for c in candidates],
            level: [wording.level(c.level, binary=binary[c.task]) for c in candidates],
        }
    )


def cells_csv(rows: Iterable[Row]) -> str:
    """Every reported condition, one row each, unrounded."""
    records = [_record(row) for row in rows]
    out = io.StringIO()
    names = dict.fromkeys(name for record in records for name in record)
    writer = csv.DictWriter(out, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def _record(row: Row) -> dict[str, object]:
    cell, tested = row.cell, row.comparison
    return {
        "task": cell.task,
        "condition": cell.condition,
        **asdict(cell.state),
        "prompt": cell.prompt,
        "perturbation": cell.perturbation,
        "forced": cell.forced,
        **asdict(row.level),
        **{
            name: getattr(tested, name, None)
            for name in ("difference", "low", "high", "rose", "fell", "p")
        },
        "p_adjusted": row.p_adjusted,
        "tokens": row.tokens,
        "steps": row.steps,
        "parsable": row.parsable,
        "truncated": row.truncated,
        "effective_scale": row.effective_scale,
        **row.shares,
    }


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form).replace("-", "−")


def _table(columns: dict[str, list[str]]) -> str:
    names = list(columns)
    # Words to the left, numbers to the right.
    rule = ["---" if name in {"condition", "task"} else "---:" for name in names]
    lines = [names, rule, *zip(*columns.values(), strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
