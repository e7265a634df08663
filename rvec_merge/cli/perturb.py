"""``rvec perturb``: write a task's perturbed items as data files."""

from pathlib import Path

import click

from rvec_merge.cli.echo import echo


@click.command(short_help="Write a task's perturbed items as data files.")
@click.argument("task")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=None, help="Another perturbation seed.")
@click.option("--limit", type=click.IntRange(min=1), default=None, help="At most so many items.")
def command(task: str, out: Path, seed: int | None, limit: int | None) -> None:
    """Write the perturbed items of TASK to the new folder OUT, with seed, version and yield.

    RVEC_EVAL_DATA=OUT then evaluates exactly these items. Set RVEC_EVAL_DATA to read clean items
    from local files (`sample`: those of this package) instead of the hub.
    """
    from rvec_merge.evaluation.realised_files import write_realised

    written = write_realised(task, out, seed=seed, limit=limit)
    told = written.metadata
    echo(f"{out / told['data']}: {told['items_written']} items")
    echo(
        f"{told['kind']}, seed {told['seed']}, generator version {told['generator_version']}: "
        f"{told['items_changed']} of {told['items_offered']} items can be changed"
    )
    for reason, count in told["refused"].items():
        echo(f"  refused {count}: {reason}")
