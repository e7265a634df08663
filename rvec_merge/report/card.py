"""The model card: what was merged, what was measured, and what that does not show."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub import ModelCard, eval_result_entries_to_yaml, parse_eval_result_entries

from rvec_merge.checkpoint.card import CARD
from rvec_merge.errors import OutputError, ResultsError, why
from rvec_merge.files.names import below, write_below
from rvec_merge.files.scratch import scratch
from rvec_merge.report.card_metadata import add_metadata, eval_entries, measured
from rvec_merge.report.charts import forest_chart, scale_chart
from rvec_merge.report.figures import draw
from rvec_merge.results import wording
from rvec_merge.results.evidence import evaluated_recipe
from rvec_merge.results.read import Results
from rvec_merge.results.rows import about_steps
from rvec_merge.results.tables import conditions_table
from rvec_merge.sharing.card import PAPER, open_card
from rvec_merge.stats.verdict import Finding

FIGURE = "rvec_scale.png"
ENTRIES = ".eval_results"
_BEGIN, _END = "<!-- rvec card: begin -->", "<!-- rvec card: end -->"


@dataclass(frozen=True)
class CardFiles:
    """What ``write_card`` wrote.

    Attributes:
        paths: every file.
        off_hub: tasks without an ``.eval_results`` file: what was measured is not a whole benchmark
            of the Hub, as far as it can be asked.
        license: what the card says; None where it says nothing.
    """

    paths: tuple[Path, ...]
    off_hub: tuple[str, ...]
    license: str | None


def write_card(results: Results, model: Path) -> CardFiles:
    """Write or complete ``README.md``, with one figure and the Hub's result files beside it.

    What a person wrote in the card is kept; an earlier evidence section is replaced.

    Raises:
        CheckpointError: the model's folder does not say what it was merged from.
        ResultsError: the results are of another merge, or the card's metadata is not valid.
        OutputError: the folder cannot be written to.
    """
    recipe = evaluated_recipe(results, model)
    found = measured(results)
    card = open_card(model, ResultsError, ignore_results=False) or _new(model)
    add_metadata(card.data, recipe, found, model)
    license = card.data.get("license")
    card.text = _with_section(card.text, _section(results, license))
    text = str(card)
    entries = {
        name: yaml.safe_dump(eval_result_entries_to_yaml(entry), sort_keys=False)
        for name, entry in eval_entries(found).items()
    }
    _validate(text, entries)
    try:
        paths = _write(results, model, text, entries)
    except OSError as error:
        raise OutputError(
            "The card cannot be written.", [f"{model}", why(error)], "make the folder writable."
        ) from None
    off_hub = dict.fromkeys(m.row.cell.task for m in found if m.task_id is None)
    return CardFiles(tuple(paths), tuple(off_hub), license)


def _new(model: Path) -> ModelCard:
    return ModelCard(f"---\n{{}}\n---\n\n# {model.resolve().name}\n")


def _with_section(prose: str, section: str) -> str:
    """The prose with the section in the place of an earlier one, or at the end."""
    marked = f"{_BEGIN}\n{section}\n{_END}"
    before, begin, rest = prose.partition(_BEGIN)
    _, end, after = rest.rpartition(_END)
    if begin and end:
        return before + marked + after
    return f"{prose.rstrip()}\n\n{marked}\n"


def _validate(text: str, entries: dict[str, str]) -> None:
    """Read back what is about to be written, with the Hub's own strict readers."""
    try:
        ModelCard(text)
        for entry in entries.values():
            parse_eval_result_entries(yaml.safe_load(entry))
    except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ResultsError(
            "The card would not be valid.",
            str(error).splitlines()[:3],
            "correct the metadata at the head of the model's README.md.",
        ) from None


def _write(results: Results, model: Path, text: str, entries: dict[str, str]) -> list[Path]:
    """Everything is made beside the model first, then moved into place, the card last."""
    with scratch(model, ".rvec-card-") as made:
        first = results.plan.tasks[0].task
        draw(scale_chart(results, first) or forest_chart(results, first), [made / FIGURE])
        for name, entry in entries.items():
            write_below(made, f"{ENTRIES}/{name}", entry)
        write_below(made, CARD, text)
        names = [FIGURE, *(f"{ENTRIES}/{name}" for name in entries), CARD]
        paths = [below(model, name) for name in names]
        for name, path in zip(names, paths, strict=True):
            path.parent.mkdir(exist_ok=True)
            os.replace(made / name, path)
    return paths


def _section(results: Results, license: str | None) -> str:
    summary = results.summary
    first = results.plan.tasks[0].task
    parts = [
        "## What the reasoning vector did",
        "A [reasoning vector](https://arxiv.org/abs/" + PAPER + ") is the weight difference "
        "between a checkpoint trained with reinforcement learning and its supervised twin. This "
        f"model is the target plus {summary.scale:g} times that difference; the scale was "
        f"{summary.chosen_on if summary.candidates else 'given by the plan'}.",
        "\n".join(f"- **{v.finding.value}**. {wording.sentence(v)}" for v in summary.verdicts),
        "\n".join(f"- {sentence}" for sentence in about_steps(summary.rows, summary.scale)),
        f"![What vector, target, donors and controls scored on {first}]({FIGURE})",
    ]
    for task in results.plan.tasks:
        rows = [r for r in results.rows(task.task) if not (r.cell.perturbation or r.cell.forced)]
        parts += [f"### {task.task}", conditions_table(rows)]
    parts += [
        "Differences are from the target on the same items with the same prompt; ± is one standard "
        "error; each interval stands alone, p is two-sided and adjusted (Holm) over all rows of "
        "the experiment. Controls are vectors of the same norm that carry no skill. "
        + f"{wording.donors(results.plan.donors)} {wording.generation(results.plan)}",
        "### Limits",
        "\n".join(f"- {limit}" for limit in _limits(results, license)),
        "### Recipe",
        _fenced(results.recipe, "yaml"),
        "Evaluated by `rvec experiment` with "
        + ", ".join(f"{name} {version}" for name, version in results.versions.items())
        + ".",
    ]
    return "\n\n".join(part for part in parts if part)


def _limits(results: Results, license: str | None) -> list[str]:
    plan, findings = results.plan, [v.finding for v in results.summary.verdicts]
    tasks = ", ".join(t.task for t in plan.tasks)
    limits = [
        f"Nothing was measured beyond {tasks}: what the vector does elsewhere, for better or "
        "worse, is not known.",
        "One run of each condition. The intervals say how results vary over items, not over "
        "training runs or other prompts.",
        f"Weights were evaluated in {plan.precision}. A file in a coarser type holds a rounded "
        "vector, and may score otherwise.",
    ]
    if not (plan.controls.random or plan.controls.permuted):
        limits.append("No control was run: any update of this size might do the same.")
    if Finding.NOT_ABOVE in findings:
        limits.append("On some tasks it is not shown to do more than a control of the same size.")
    if Finding.UNDECIDED in findings:
        limits.append("On some tasks outputs were cut off at the token budget, which may decide.")
    if plan.selection.by == "same_items" and len(plan.scales) > 1:
        limits.append(
            "The scale was chosen on the items that are reported: effects are overstated."
        )
    if plan.limit is not None:
        limits.append(f"Only the first {plan.limit} items of each task were used.")
    if license is None:
        limits.append(
            "Licence: the inputs do not state one that they share; the terms of all of them apply."
        )
    return limits


def _fenced(text: str, language: str) -> str:
    runs: Sequence[str] = re.findall(r"`+", text)
    fence = "`" * max(3, 1 + max(map(len, runs), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
