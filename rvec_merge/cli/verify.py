"""``rvec verify``: recompute a merge and compare bits."""

from pathlib import Path

import click

from rvec_merge.cli.echo import echo


@click.command(short_help="Recompute a merge from its inputs, and compare every bit.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--recipe", help="A file or hf://REPO_ID[@revision], instead of the one recorded in OUT."
)
@click.option("--sample", type=click.IntRange(min=1), help="Recompute so many tensors only.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(out: Path, recipe: str | None, sample: int | None, seed: int, as_json: bool) -> None:
    """Recompute the merge OUT from its rvec_merge.json, and compare it bit by bit.

    Exits with 1 when the bits are not what the recipe gives.
    """
    from rvec_merge.engine.startup import import_mergekit

    import_mergekit()
    from rvec_merge.engine.verify import verify
    from rvec_merge.errors import CheckpointError
    from rvec_merge.hub.recipes import open_recipe

    found = verify(
        out, recipe=None if recipe is None else open_recipe(recipe), sample=sample, seed=seed
    )
    if as_json:
        import json

        echo(json.dumps({**vars(found), "holds": found.holds}, indent=2))
    else:
        for change in found.changed:
            echo(f"Warning: an input has changed since: {change}", err=True)
        if found.recipe_differs:
            echo("Warning: the recipe is not the one recorded.", err=True)
        if found.holds:
            echo(f"{out}: {found.checked} of {found.total} tensors recomputed, same bits")
    if found.holds:
        return
    facts = [f"{name}: {count} elements differ" for name, count in found.differing.items()]
    facts += [f"{name}: missing" for name in found.missing]
    facts += [f"{name}: not in the recipe's plan" for name in found.extra]
    more = [f"and {len(facts) - 8} more"] if len(facts) > 8 else []
    raise CheckpointError(
        "The merge is not what its recipe gives.",
        [f"{out}", *facts[:8], *more, *found.changed],
        "merge it again; if the inputs are the recorded ones, the output was changed.",
    )
