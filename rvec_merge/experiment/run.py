"""Run a plan: choose the scale, evaluate what is reported, resume where a run stopped."""

from rvec_merge.experiment.checks import check
from rvec_merge.experiment.choosing import choose
from rvec_merge.experiment.conditions import Cell, sweep_cells
from rvec_merge.experiment.engines.base import Engine
from rvec_merge.experiment.filing import Filing, Watch
from rvec_merge.experiment.plan_file import PlanSource, read_plan
from rvec_merge.experiment.planned import Experiment
from rvec_merge.experiment.runner import CellRunner
from rvec_merge.experiment.settings import Changes
from rvec_merge.experiment.store import CellResult, Store
from rvec_merge.experiment.tasks import TaskBook
from rvec_merge.hub.recipes import open_recipe
from rvec_merge.hub.references import is_hub
from rvec_merge.recipe.catalog import read_source
from rvec_merge.recipe.read import Recipe


def prepare(source: PlanSource, changes: Changes | None = None, *, dry: bool = False) -> Experiment:
    """Read a plan and its recipe, build the tasks, and check it without running anything.

    Args:
        dry: whether data and models may be missing: what needs them is not checked then.

    Raises:
        PlanError: see ``checks.check``.
    """
    plan, named = read_plan(source, changes)
    # What runs nothing needs no commits, and so no network.
    here = dry and not isinstance(named, Recipe) and not is_hub(named)
    recipe = read_source(named) if here else open_recipe(named)
    experiment = Experiment(plan, recipe, TaskBook())
    outline = experiment.outline(dry=dry)
    if not outline.estimated:
        check(experiment, outline)
    return experiment


def run(
    experiment: Experiment,
    engine: Engine,
    runner: CellRunner,
    store: Store,
    watch: Watch,
    *,
    extends: bool = False,
) -> tuple[float, dict[Cell, CellResult]]:
    """Run what is not finished yet; returns the chosen scale and every cell's result.

    Args:
        extends: see ``Filing``.

    Raises:
        ResultsError: cells failed; all others that could be run are finished and filed.
    """
    filing = Filing(engine, runner, store, watch, extends=extends)
    sweep = sweep_cells(experiment.plan)
    # What does not depend on the scale need not wait for it.
    fixed = [c for c in experiment.outline().report if not c.state.scale]
    filing.finish([*sweep, *fixed])
    if not filing.failures.keys() & set(sweep):
        scale = choose(experiment, filing.results)
        filing.finish(experiment.outline(scale).report)
        if not filing.failures:
            return scale, filing.results
    raise filing.report()
