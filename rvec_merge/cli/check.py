"""``rvec check``: what a recipe would do, and what stands in its way."""

from pathlib import Path
from typing import Any

import click

from rvec_merge.api import merging
from rvec_merge.cli import completion
from rvec_merge.cli.options import json_option, options
from rvec_merge.merge.settings import Settings


@click.command(short_help="Check a recipe before a weight is read.")
@click.argument("recipe", metavar="RECIPE", shell_complete=completion.recipes)
@click.argument("out", required=False, type=click.Path(path_type=Path))
@options(merging.check)
@options(Settings, "overwrite", "allow_pickle", "dequantize", "trust_remote_code", "allowed")
@json_option
def command(recipe: str, out: Path | None, as_json: bool, **given: Any) -> int:
    """Check RECIPE, and that OUT can be written, before a weight is read; print the plan.

    RECIPE is a file, a bundled recipe's name, or a repo on the Hub: hf://REPO_ID[@revision]. Of
    models on the Hub, headers alone are read, unless --deep fetches them. Every problem is listed.
    Exits with 1 if there is one; warnings do not count.
    """
    from rvec_merge.cli._check_text import print_json, print_text

    found = merging.check(recipe, out, **given)
    if as_json:
        print_json(found)
    elif found.report is None:
        raise found.errors[0]
    else:
        print_text(recipe, out, found, found.report)
    return 0 if found.ok else 1
