"""``rvec card``: a model card that says what was measured."""

from pathlib import Path

import click

from rvec_merge.cli.echo import echo


@click.command(short_help="Write a merge's model card from its experiment.")
@click.argument("results", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False))
def command(results: Path, model: Path) -> None:
    """Write the card of a merged model from the experiment that evaluated it.

    RESULTS is the folder that `rvec experiment -o` wrote, MODEL the merged model's. What stands in
    MODEL's README.md is kept.
    """
    from rvec_merge.report.card import write_card
    from rvec_merge.report.results import read_results

    written = write_card(read_results(results), model)
    for path in written.paths:
        echo(f"{path}")
    if written.off_hub:
        names = ", ".join(written.off_hub)
        echo(
            f"No .eval_results file for {names}: not measured on a whole benchmark of the Hub, or "
            "the Hub did not answer."
        )
    if written.license is None:
        echo("The card names no licence: the inputs do not state one that they share.")
