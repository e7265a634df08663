"""``rvec report``: a results folder as one page that people look at."""

from pathlib import Path
from typing import Any

import click

from rvec_merge.api import evidence
from rvec_merge.cli.echo import echo
from rvec_merge.cli.options import options


@click.command(short_help="Write the report of an experiment: one HTML file.")
@click.argument("results", type=click.Path(path_type=Path))
@options(evidence.report)
def command(results: Path, **given: Any) -> None:
    """Write the report of a finished experiment: one HTML file that needs no network.

    RESULTS is the folder that `rvec experiment -o` wrote.
    """
    written = evidence.report(results, **given)
    for path in (written.page, *written.figures):
        echo(f"{path}")
