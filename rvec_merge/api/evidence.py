"""Experiments, their comparison, and their report."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rvec_merge.api.progress import Bar, CellWatch
from rvec_merge.declare import Misuse, Option, Pair, sorted_into
from rvec_merge.experiment.settings import Changes, RunSettings

if TYPE_CHECKING:
    from rvec_merge.experiment.backends.choice import BackendChoice
    from rvec_merge.experiment.engines.cluster import Cluster
    from rvec_merge.experiment.plan_file import PlanSource
    from rvec_merge.experiment.planned import Experiment, Outline
    from rvec_merge.experiment.runner import CellRunner
    from rvec_merge.experiment.store import Store
    from rvec_merge.results.compare import Report
    from rvec_merge.results.read import Results

Several = tuple[str, ...]


def experiment(
    plan: "PlanSource",
    out: str | Path,
    *,
    progress: "bool | CellWatch" = False,
    **options: Any,
) -> "Results":
    """Evaluate target, donors, vector and controls, and judge the vector.

    Finished cells are kept in the folder ``out``; a run that was interrupted goes on there.

    Args:
        plan: a file, a bundled plan's name, ``hf://REPO_ID`` of shared results, YAML text, a dict.
        progress: True for a bar.
        options: fields of ``RunSettings``; and ``tasks``, ``limit``, ``batch_size``, which change
            the plan.

    Raises:
        RvecError: the plan cannot be run, or cells failed.
    """
    changes, settings = sorted_into("experiment", options, Changes, RunSettings)
    prepared = prepare(plan, changes)
    if not isinstance(progress, bool):
        return run(prepared, Path(out), settings, progress)
    with closing(Bar(progress)) as bar:
        return run(prepared, Path(out), settings, bar)


def outline(plan: "PlanSource", **options: Any) -> "Outline":
    """The cells that a plan asks for, and how many outputs they are; runs nothing."""
    (changes,) = sorted_into("outline", options, Changes)
    return prepare(plan, changes, dry=True).outline(dry=True)


def prepare(
    plan: "PlanSource", changes: Changes | None = None, *, dry: bool = False
) -> "Experiment":
    """A plan with its recipe and tasks, checked as far as can be without running anything."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from rvec_merge.experiment import run as room

    return room.prepare(plan, changes, dry=dry)


def run(
    experiment: "Experiment", out: Path, settings: RunSettings, watch: "CellWatch"
) -> "Results":
    """Run what is missing of an experiment, and judge it."""
    from rvec_merge.errors import PlanError
    from rvec_merge.experiment.backends.choice import BackendChoice
    from rvec_merge.experiment.extending import extended_plan
    from rvec_merge.experiment.planned import Experiment
    from rvec_merge.experiment.runner import CellRunner
    from rvec_merge.experiment.store import Store

    if (running := experiment.running_code()) and not settings.confirm_run_unsafe_code:
        raise PlanError(
            "The plan's tasks run code that models write.",
            [f"tasks: {', '.join(running)}"],
            "add --confirm-run-unsafe-code, in a container you can throw away.",
        )
    store = Store(out)
    experiment.require_same(store.found(), out)
    if settings.extend:
        longer = extended_plan(experiment.plan, experiment.book, store)
        experiment = Experiment(longer, experiment.recipe, experiment.book)
    with _placed(settings) as (device, cluster):
        shared = settings.tensor_parallel if cluster is None else int(cluster.gpus)
        choice = BackendChoice(
            settings.backend,
            device,
            max(1, shared or 1),
            settings.max_model_len,
            settings.gpu_memory_utilization,
        )
        backend = choice.backend()
        # Before a folder is made: what is not installed cannot evaluate.
        backend.depends(experiment.plan)
        runner = CellRunner(experiment.plan, experiment.recipe, experiment.book, backend)
        made = choice, cluster, settings.extend
        return _written(experiment, store, runner, watch, *made)


def _written(
    experiment: "Experiment",
    store: "Store",
    runner: "CellRunner",
    watch: "CellWatch",
    choice: "BackendChoice",
    cluster: "Cluster | None",
    extends: bool,
) -> "Results":
    from rvec_merge.experiment import run as room
    from rvec_merge.experiment.engines.base import Engine
    from rvec_merge.experiment.engines.local import LocalEngine
    from rvec_merge.experiment.engines.ray import RayEngine
    from rvec_merge.results.read import read_results
    from rvec_merge.results.tables import write_summary

    with store.writing(experiment.head()):
        watch.start(experiment.outline())
        engine: Engine = (
            RayEngine.on(cluster, runner, choice, watch.begin)
            if cluster
            else LocalEngine(runner, watch.begin)
        )
        found = room.run(experiment, engine, runner, store, watch, extends=extends)
        write_summary(experiment, *found, store)
    return read_results(store.root)


@contextmanager
def _placed(settings: RunSettings) -> "Iterator[tuple[str, Cluster | None]]":
    """The device of the cells, and the cluster if they are run on one."""
    from rvec_merge.arithmetic.device import device_named
    from rvec_merge.experiment.engines.cluster import Sizing, joined

    if settings.engine == "local":
        yield str(device_named(settings.device)), None
        return
    sizing = Sizing(settings.cpus_per_worker or 1, settings.gpus_per_worker, settings.workers)
    with joined(settings.address, sizing) as cluster:
        yield cluster.device, cluster


def compare(
    a: str | Path,
    b: str | Path | None = None,
    *,
    conditions: Annotated[
        tuple[str, str] | None,
        Option("Of a results folder A: two of its conditions.", metavar="A B"),
    ] = None,
    tasks: Annotated[
        Several, Option("Keep this task or group; again for more.", ("--task",), "NAME[=NAME_IN_B]")
    ] = (),
    metrics: Annotated[Several, Option("Keep this metric; again for more.", ("--metric",))] = (),
    filters: Annotated[Several, Option("Keep this filter; again for more.", ("--filter",))] = (),
    by: Annotated[
        Literal["doc_id", "doc_hash"], Option("What makes two items the same one.")
    ] = "doc_id",
    different_prompts: Annotated[
        bool,
        Option(
            "Let prompts, documents and answers differ: plain against think, clean against "
            "perturbed."
        ),
    ] = False,
    common_items: Annotated[
        bool, Option("Leave out the items that only one of the runs holds.")
    ] = False,
    seed: Annotated[int, Option("Seed of the resampling.", least=0)] = 0,
) -> "Report":
    """Compare two lm-eval runs on the same items; the difference is B − A.

    Args:
        a, b: output folders of lm-eval (``--log_samples``), or samples files.
        conditions: of a results folder ``a``, as its tables name them; then there is no ``b``.

    Raises:
        ResultsError: tasks, filters, metrics, items, prompts or answers are not the same.
    """
    from rvec_merge.results.compare import compare_runs
    from rvec_merge.results.pairing import Selection
    from rvec_merge.tasks.samples import read_run

    if (b is None) == (conditions is None):
        raise Misuse("Give A and B, or a results folder and --conditions.")
    chosen = Selection(tasks, filters, metrics, by, different_prompts, common_items)
    if conditions is not None:
        from rvec_merge.results.read import runs_of

        left, right = runs_of(Path(a), conditions)
    else:
        assert b is not None
        left, right = read_run(Path(a)), read_run(Path(b))
    return compare_runs(left, right, chosen, seed=seed)


@dataclass(frozen=True)
class Written:
    """A report that was written: its page, and figures if they were asked for."""

    page: Path
    figures: tuple[Path, ...] = ()


def report(
    results: str | Path,
    out: Annotated[
        Path | str | None, Option("Default: RESULTS/report.html.", ("-o", "--out"), "FILE")
    ] = None,
    *,
    figures: Annotated[
        Path | str | None, Option("Write PNG and SVG into this folder too.", metavar="FOLDER")
    ] = None,
    pair: Pair = None,
    vector: Annotated[bool, Option("The vector's heat map, which reads the weights.")] = True,
) -> Written:
    """Write the report of a finished experiment: one HTML file that needs no network."""
    from rvec_merge.report.figures import write_figures
    from rvec_merge.report.inspect_vector import vector_map
    from rvec_merge.report.page import render_page, write_page
    from rvec_merge.results.read import read_results

    found = read_results(Path(results))
    drawn = vector_map(found, pair) if vector else "Left out: --no-vector."
    page = write_page(render_page(found, drawn), Path(out or Path(results) / "report.html"))
    if figures is None:
        return Written(page)
    return Written(page, tuple(write_figures(found, drawn, Path(figures))))
