"""``rvec verify``: recompute a merge and compare bits."""

from pathlib import Path
from typing import Any

import click

from rvec_merge.api import merging
from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option, options


@click.command(short_help="Recompute a merge from its inputs, and compare every bit.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--recipe", help="A recipe instead of the one recorded in OUT.")
@options(merging.verify)
@json_option
def command(out: Path, as_json: bool, **given: Any) -> None:
    """Recompute the merge OUT from its rvec_merge.json, and compare it bit by bit.

    Exits with 1 when the bits are not what the recipe gives.
    """
    from rvec_merge.errors import CheckpointError

    found = merging.verify(out, **given)
    if as_json:
        echo_json({**vars(found), "holds": found.holds})
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
