"""``rvec pull``: fetch what `rvec push` shared."""

from pathlib import Path

import click

from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option


@click.command(short_help="Copy a recipe, vector, merge or results from the Hub.")
@click.argument("repo", metavar="REPO_ID[@revision]")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="New folder; default: the repo's name."
)
@json_option
def command(repo: str, out: Path | None, as_json: bool) -> None:
    """Copy a recipe, vector, merge or results repo into a new folder.

    Files of known names alone are fetched, and checked; what else the repo holds is listed.
    Nothing that is fetched is run.
    """
    from rvec_merge.hub.references import parse_reference
    from rvec_merge.sharing.pull import pull

    reference = parse_reference(repo)
    content = pull(reference, out or Path(reference.repo_id.rpartition("/")[2]))
    ignored = [_printable(name) for name in content.ignored]
    if as_json:
        told = {"repo": str(content.reference), "kind": content.kind.name}
        told["folder"] = str(content.folder)
        echo_json({**told, "files": content.names, "ignored": ignored})
        return
    echo(f"{content.folder}: a {content.kind.name}, {content.reference}")
    for name in content.names:
        echo(f"  {name}")
    for name in ignored[:20]:
        echo(f"Ignored: {name}", err=True)
    if len(ignored) > 20:
        echo(f"Ignored: {len(ignored) - 20} more", err=True)


def _printable(name: str) -> str:
    """A stranger's file name, without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in name)
