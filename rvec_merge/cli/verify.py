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
    from rvec_merge.errors import CheckpointError
    from rvec_merge.hub.recipes import open_recipe
    from rvec_merge.merge.verify import verify

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
    raise found.error(
        CheckpointError,
        out,
        "merge it again; if the inputs are the recorded ones, the output was changed.",
    )
