"""``rvec report``: a results folder as one page that people look at."""

from pathlib import Path

import click

from rvec_merge.cli.echo import echo


@click.command(short_help="Write the report of an experiment: one HTML file.")
@click.argument("results", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Default: RESULTS/report.html.")
@click.option("--figures", type=click.Path(path_type=Path), help="Write PNG and SVG here too.")
@click.option("--pair", metavar="NAME", help="Whose heat map, if the recipe has several pairs.")
@click.option("--no-vector", is_flag=True, help="Leave the heat map out; reads no weights.")
def command(
    results: Path, out: Path | None, figures: Path | None, pair: str | None, no_vector: bool
) -> None:
    """Write the report of a finished experiment: one HTML file that needs no network.

    RESULTS is the folder that `rvec experiment -o` wrote.
    """
    from rvec_merge.report.figures import write_figures
    from rvec_merge.report.inspect_vector import vector_map
    from rvec_merge.report.page import render_page, write_page
    from rvec_merge.report.results import read_results

    found = read_results(results)
    vector = "Left out: --no-vector." if no_vector else vector_map(found, pair)
    page = write_page(render_page(found, vector), out or results / "report.html")
    echo(f"{page}")
    if figures is not None:
        for path in write_figures(found, vector, figures):
            echo(f"{path}")
