"""What is refused of a plan once its tasks are known, before anything runs."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rvec_merge.checkpoint.model_config import flat
from rvec_merge.errors import PlanError, RvecError, shortened
from rvec_merge.experiment.conditions import TARGET, Cell
from rvec_merge.experiment.states import DONORS, donor_of
from rvec_merge.preflight import see_local

if TYPE_CHECKING:
    from rvec_merge.experiment.planned import Experiment, Outline
    from rvec_merge.plan.inputs import Input

_FEWEST = 10  # items on either side of a split
_SPREAD = 2  # items that a subtask needs to show how much they vary


def check(experiment: "Experiment", outline: "Outline") -> None:
    """Refuse what cannot be run, or would show nothing.

    Raises:
        PlanError: a task, prompt, perturbation, metric or filter does not exist, or does not go
            with several samples; a task is there twice, or has too few items; donors that are
            adapters are to be evaluated by themselves; slices make another model of the target; a
        token budget is the whole context.
    """
    for cell in outline.cells:
        _require_metric(experiment, cell)
    _require_whole_donors(experiment)
    _require_the_targets_layers(experiment)
    _require_room(experiment, outline)
    _require_distinct(outline)
    for cell in dict.fromkeys(replace(c, state=TARGET) for c in outline.report):
        _require_enough(experiment, cell)
    if experiment.splits:
        _require_split(experiment)


def _require_metric(experiment: "Experiment", cell: Cell) -> None:
    task = experiment.plan.task(cell.task)
    metric, _ = experiment.book.metric(task, cell.variant)
    if task.samples > 1 and metric != "answer":
        raise PlanError(
            "Several samples per item need the metric answer.",
            [f"{cell.variant}: {metric} is of an item's first output alone"],
            "leave out samples for this task, or test its metric answer, if it has one.",
        )


def _require_whole_donors(experiment: "Experiment") -> None:
    for role in DONORS if experiment.plan.donors == "own_prompts" else ():
        if (donor := donor_of(experiment.recipe, role)).lora is not None:
            raise PlanError(
                "A donor that is an adapter cannot be evaluated by its folder alone.",
                [f"{donor}"],
                "set donors: target_prompts, which puts its weights into the target's model.",
            )


def _require_the_targets_layers(experiment: "Experiment") -> None:
    """Refuse slices that put together another model than the target, which evaluates."""
    recipe = experiment.recipe
    if not recipe.config.is_sliced or (target := _target(experiment)) is None:
        return
    from rvec_merge.experiment.weights import StateWeights, not_in_memory

    plan = StateWeights(recipe, allowed=experiment.plan.allow).plan
    changed = sorted({tensor.name for tensor in plan.tensors} ^ set(target.tensors))
    if changed:
        told = [f"{name}: in the target or in the output alone" for name in changed]
        raise not_in_memory(["its slices change the target's layers", *shortened(told)])


def _require_room(experiment: "Experiment", outline: "Outline") -> None:
    """Refuse a token budget that leaves no room for a prompt, where the target is here."""
    target = _target(experiment)
    settings = dict(flat(target.config)) if target else {}
    found = [v for k, v in settings.items() if k.endswith("max_position_embeddings")]
    stretched = any(
        isinstance(v, dict) and "factor" in v for k, v in settings.items() if "rope" in k
    )
    if stretched or not found or not isinstance(context := found[0], int):
        return
    full = [f"{task}: {n:,} tokens" for task, n in outline.budgets.items() if n >= context]
    if full:
        raise PlanError(
            "A task's token budget is the target's whole context.",
            [*full, f"{experiment.recipe.config.target}: {context:,} positions, the prompt's too"],
            "set generation: {max_gen_toks: N} for it, or for the plan.",
        )


def _target(experiment: "Experiment") -> "Input | None":
    """The target, if it is here and whole: what opens it says what is wrong with it."""
    try:
        return see_local(experiment.recipe.config.target, "target")
    except RvecError:
        return None


def _require_distinct(outline: "Outline") -> None:
    seen: dict[tuple[object, ...], Cell] = {}
    for cell in outline.cells:
        other = seen.setdefault((cell.variant, cell.state, cell.forced), cell)
        if other.task != cell.task:
            raise PlanError(
                "Two tasks of the plan are one.",
                [f"{other.task} and {cell.task} both evaluate {cell.variant}"],
                "take one of them out of the plan, or its prompt or perturbation.",
            )


def _require_enough(experiment: "Experiment", cell: Cell) -> None:
    """Refuse a set in which a subtask reports one item alone: it shows no spread.

    So is a perturbed set of so few items that it shows no effect, and may be no fair share.
    """
    counts = {subtask: len(found) for subtask, found in experiment.names(cell, "report").items()}
    few = [f"would be reported, {s}: {count}" for s, count in counts.items() if count < _SPREAD]
    kept = experiment.size(cell.variant)
    least = experiment.plan.task(cell.task).min_items
    offered = experiment.size(replace(cell, perturbation=None).variant)
    if not few and cell.perturbation and kept < least <= offered:
        few = [f"{kept} of {offered} items could be perturbed, and min_items is {least}"]
    if few:
        raise PlanError(
            f"The task {cell.variant} has too few items to estimate an error from.",
            few[:3],
            "raise limit, take the task or its perturbation out of the plan, or set the "
            "task's min_items.",
        )


def _require_split(experiment: "Experiment") -> None:
    for task in (t for t in experiment.plan.tasks if t.selects):
        cell = Cell(task.task, TARGET)
        choosing, reporting = (
            sum(len(found) for found in experiment.names(cell, part).values())
            for part in ("choose", "report")
        )
        if min(choosing, reporting) < _FEWEST:
            raise PlanError(
                f"The task {task.task} has too few items to split.",
                [f"{choosing} would choose the scale, {reporting} would report it"],
                f"raise limit, or change selection.share; each side needs {_FEWEST}.",
            )
