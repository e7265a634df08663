"""``rvec push``: share a recipe, a vector, a merge or results on the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option
from rvec_merge.hub.layout import KINDS

if TYPE_CHECKING:
    from rvec_merge.sharing.push import Upload


@click.command(short_help="Upload a recipe, vector, merge or results to the Hub.")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("repo_id")
@click.option("--license", metavar="NAME", help="Of what is shared, such as apache-2.0.")
@click.option(
    "--results", type=click.Path(path_type=Path), help="Share these results with the recipe."
)
@click.option("--private", is_flag=True, help="Make a new repo private; refuse a public one.")
@click.option(
    "--revision", metavar="BRANCH", help="Commit to this branch, or to refs/pr/N; default: main."
)
@click.option("--pr", "as_pr", is_flag=True, help="Open a pull request instead of committing.")
@click.option("--dry-run", is_flag=True, help="Check, and print what would be uploaded.")
@json_option
def command(
    kind: Any,
    path: Path,
    repo_id: str,
    license: str | None,
    results: Path | None,
    private: bool,
    revision: str | None,
    as_pr: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Check the KIND at PATH and upload it to REPO_ID in one commit; print the URL.

    PATH is a recipe file, or the folder that `rvec extract`, `rvec merge` or `rvec experiment`
    wrote. Known files alone are uploaded. Weights are held to their provenance first: a merge is
    recomputed, and a recipe is checked as by `rvec check`. A recipe's models are pinned to their
    current commits.
    """
    if results is not None and kind != "recipe":
        raise click.UsageError("--results belongs to a recipe.")
    from rvec_merge.sharing.push import prepare, push

    upload = prepare(kind, path, repo_id, license=license, results=results)
    if not as_json:
        _print(upload)
    url = None
    if not dry_run:
        url = push(upload, private=private, revision=revision, as_pr=as_pr)
    if as_json:
        files = {name: upload.size(name) for name in upload.files}
        told = {"repo": upload.repo_id, "url": url, "files": files, "left_out": upload.left_out}
        echo_json({**told, "local_inputs": upload.local})
    elif url is not None:
        echo(url)


def _print(upload: "Upload") -> None:
    width = max(len(f"{upload.size(name):,}") for name in upload.files)
    for name in upload.files:
        echo(f"{upload.size(name):>{width},}  {name}")
    total = sum(map(upload.size, upload.files))
    echo(f"{total:>{width},}  bytes in {len(upload.files)} files, for {upload.repo_id}")
    for name in upload.left_out:
        echo(f"Not uploaded: {name}", err=True)
    for name in upload.local:
        echo(f"Warning: provenance names what is no repo of the Hub: {name}", err=True)
