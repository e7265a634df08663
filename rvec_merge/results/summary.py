"""What an experiment found: verdicts, comparisons and the scale curve, as data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rvec_merge.experiment.choosing import at_an_end, stuck_tasks
from rvec_merge.experiment.conditions import TARGET, Cell, State, control_states, sweep_cells
from rvec_merge.experiment.fingerprint import ModelInput, model_inputs
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.planned import Experiment
from rvec_merge.experiment.store import CellResult
from rvec_merge.results.flips import Flips, flips
from rvec_merge.results.wording import sentence
from rvec_merge.stats.controls import ControlDraw, OtherVector
from rvec_merge.stats.question import Beside, Question
from rvec_merge.stats.significance import (
    Comparison,
    Mean,
    Outcomes,
    holm,
    in_one_unit,
    mean,
    paired,
    shared,
)
from rvec_merge.stats.verdict import RULE, Verdict, judge


@dataclass(frozen=True)
class Row:
    """One reported condition on one task.

    Attributes:
        cell: what was evaluated.
        level: its mean over the reported items.
        comparison: against the target with the same prompt, items and steps; None for it itself.
        p_adjusted: by Holm over all rows of the experiment; None for a baseline.
        tokens, parsable, steps, truncated: of the outputs; see ``outputs.describe``.
        effective_scale: what rounding left of the scale; None where nothing was added.
        shares: of the outputs or items, by name: ``strict``, right by the task's own filter where
            ``answer`` is tested; ``pass@k`` and ``maj@k`` of several samples; ``not judged`` and
            ``thinking unfinished`` where there are any.
    """

    cell: Cell
    level: Mean
    comparison: Comparison | None
    p_adjusted: float | None
    tokens: float | None
    parsable: float | None
    steps: float | None
    effective_scale: float | None
    truncated: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One scale on the items that choose it (the target is scale 0)."""

    task: str
    scale: float
    level: Mean
    effective_scale: float | None


@dataclass(frozen=True)
class Summary:
    """Everything an experiment reports.

    Attributes:
        scale: the one that was chosen.
        chosen_on: where from, in words.
        verdicts: one per task, by ``rule``.
        rows: every reported condition, in the plan's order.
        candidates: the scale curve, on the items that chose the scale.
        donors: whose tokenizer, chat template, config and generation config the donors had; None
            where they were not evaluated, and in results of a version that did not say.
        flags: what makes a task's comparison say little, in words.
        inputs: the checkpoints; empty in results of a version that did not record them.
        flips: which items changed, a record per row; kept in a file of its own.
    """

    scale: float
    chosen_on: str
    rule: str
    verdicts: tuple[Verdict, ...]
    rows: tuple[Row, ...]
    candidates: tuple[Candidate, ...]
    donors: str | None = None
    inputs: tuple[ModelInput, ...] = ()
    flips: tuple[Flips, ...] = ()
    flags: tuple[str, ...] = ()

    def binary(self, task: str) -> bool:
        """Whether the task's outcomes are right or wrong, so that a mean is a share of items."""
        return is_binary(row for row in self.rows if row.cell.task == task)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``summary.json``; no time and no path, so equal runs are equal bytes."""
        rows = []
        for row in self.rows:
            cell = asdict(row.cell)
            named = {"condition": row.cell.condition, "variant": row.cell.variant}
            rows.append({**named, **asdict(row), "cell": cell})
        return {
            "scale": self.scale,
            "chosen_on": self.chosen_on,
            "rule": self.rule,
            "verdicts": [
                {**asdict(v), "finding": v.finding.value, "sentence": sentence(v)}
                for v in self.verdicts
            ],
            "rows": rows,
            "candidates": [asdict(c) for c in self.candidates],
            "donors": self.donors,
            "inputs": [asdict(i) for i in self.inputs],
            "flags": list(self.flags),
        }


def is_binary(rows: Iterable[Row]) -> bool:
    """Whether every compared value of one task's rows is 0 or 1."""
    return all(row.comparison.binary for row in rows if row.comparison)


def summarise(experiment: Experiment, scale: float, results: Mapping[Cell, CellResult]) -> Summary:
    """Judge a finished experiment."""
    plan = experiment.plan
    reported = experiment.outline(scale).report
    found = {c: experiment.outcomes(c, results[c], "report") for c in reported}
    for baseline in {c.baseline for c in reported}:
        alike = [c for c in reported if c.baseline == baseline]
        found |= zip(alike, shared([found[c] for c in alike]), strict=True)
    vectors = [Cell(task.task, State("vector", scale)) for task in plan.tasks]
    questions = [_question(experiment, vector, found, results) for vector in vectors]
    compared = {
        c: paired(found[c.baseline], found[c], seed=plan.seed) for c in reported if c.baseline != c
    }
    for task in plan.tasks:
        cells = [c for c in compared if c.task == task.task]
        compared |= zip(cells, in_one_unit([compared[c] for c in cells]), strict=True)
    adjusted = holm({c: comparison.p for c, comparison in compared.items()})
    facts = {c: experiment.facts(c, results[c]) for c in reported}
    rows = [
        Row(
            cell,
            mean(found[cell]),
            compared.get(cell),
            adjusted.get(cell),
            facts[cell]["tokens"],
            facts[cell]["parsable"],
            facts[cell]["steps"],
            facts[cell]["effective_scale"],
            facts[cell].get("truncated"),
            _shares(experiment, cell, facts[cell]),
        )
        for cell in reported
    ]
    candidates = [
        Candidate(
            cell.task,
            cell.state.scale,
            mean(experiment.outcomes(cell, results[cell], "choose")),
            results[cell].facts["effective_scale"],
        )
        for cell in sweep_cells(plan)
        if cell.state == TARGET or cell.state.kind == "vector"
    ]
    return Summary(
        scale,
        _chosen_on(experiment, results),
        RULE,
        judge(questions, seed=plan.seed),
        tuple(rows),
        tuple(candidates),
        plan.donors or None,
        model_inputs(experiment.recipe),
        tuple(flips(experiment, c, found[c.baseline], found[c], results[c]) for c in reported),
        tuple(_flags(plan, rows)),
    )


def _question(
    experiment: Experiment,
    vector: Cell,
    found: Mapping[Cell, Outcomes],
    results: Mapping[Cell, CellResult],
) -> Question:
    """What a task asks: the vector against its baseline, beside the controls at its scale."""
    plan, task = experiment.plan, vector.task
    controlled = [Cell(task, state) for state in control_states(plan, vector.state.scale)]
    draws = [c for c in controlled if c.state.kind != "other"]
    controls = tuple(ControlDraw(c.state.kind, c.state.seed, found[c]) for c in draws)
    others = tuple(OtherVector(c.state.name, found[c]) for c in controlled if c.state.name)
    budget = experiment.book.budget(vector.variant, plan.generation_of(task).max_gen_toks)
    asked = (found[vector.baseline], found[vector], controls, others)
    beside = _beside(experiment, vector, found, results)
    return Question(task, vector.state.label, *asked, budget=budget, beside=beside)


def _flags(plan: Plan, rows: Sequence[Row]) -> Iterator[str]:
    """Tasks on which target and donors are at the floor or the ceiling alike."""
    for task in plan.tasks:
        shown = [
            row.level.mean
            for row in rows
            if row.cell.task == task.task
            and row.cell.state.kind in {"target", "sft", "grpo"}
            and not (row.cell.perturbation or row.cell.forced)
        ]
        if (end := at_an_end(shown)) is not None:
            yield (
                f"{task.task}: target and donors are all at the {end} of the metric that is "
                "tested; read some outputs before believing that nothing changed."
            )


def _beside(
    experiment: Experiment,
    vector: Cell,
    found: Mapping[Cell, Outcomes],
    results: Mapping[Cell, CellResult],
) -> dict[Beside, tuple[Outcomes, Outcomes]]:
    """The same comparison by the task's own filter, and with the steps forced, where there is."""
    beside: dict[Beside, tuple[Outcomes, Outcomes]] = {}
    if (stock := experiment.stock(vector, results[vector].facts)) is not None:
        pair = [experiment.scored(c, results[c], *stock) for c in (vector.baseline, vector)]
        beside["strict"] = (pair[0], pair[1])
    forced = replace(vector, forced=True)
    if forced in found:
        beside["forced"] = (found[forced.baseline], found[forced])
    return beside


def _shares(experiment: Experiment, cell: Cell, facts: Mapping[str, Any]) -> dict[str, float]:
    shares = {}
    if (stock := experiment.stock(cell, facts)) is not None:
        metric, filter_name = stock
        shares["strict"] = facts["means"][filter_name][metric]
    samples = experiment.plan.task(cell.task).samples
    for name, key in (("pass", "answer_pass"), ("maj", "answer_majority")):
        if (share := facts.get(key)) is not None:
            shares[f"{name}@{samples}"] = share
    for key in ("not_judged", "thinking_unfinished"):
        if share := facts.get(key):
            shares[key.replace("_", " ")] = share
    return shares


def _chosen_on(experiment: Experiment, results: Mapping[Cell, CellResult]) -> str:
    plan = experiment.plan
    if len(plan.scales) == 1:
        return "the plan names one scale"
    stuck = stuck_tasks(experiment, results)
    tasks = [t for t in plan.tasks if t.selects and not {t.task, t.validation} & stuck.keys()]
    if not tasks:
        ends = ", ".join(f"{task} is at its {end}" for task, end in stuck.items())
        return f"the smallest of the plan, since nothing could choose one: {ends} at every scale"
    if plan.selection.by == "validation":
        return (
            f"chosen on {', '.join(str(t.validation) for t in tasks)}, whose items are not reported"
        )
    names = ", ".join(t.task for t in tasks)
    if plan.selection.by == "share":
        return (
            f"chosen on {plan.selection.share:.0%} of the items of {names}, which are not reported"
        )
    return f"chosen on the very items that are reported ({names}): the effect is overstated"
