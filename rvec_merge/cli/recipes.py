"""``rvec recipes``: list the bundled recipes, print one, or copy it to edit."""

from typing import Any

import click

from rvec_merge.cli import shelves
from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option


@click.command(short_help="List the bundled recipes, print or copy one.")
@shelves.words
@click.option("--path", "show_path", is_flag=True, help="Print the path of the folder or recipe.")
@click.option("--hub", "on_hub", is_flag=True, help="List those that others share on the Hub.")
@json_option
def command(words: tuple[str, ...], show_path: bool, on_hub: bool, as_json: bool) -> None:
    """List the bundled recipes, print the recipe NAME, or write an editable copy of it."""
    from rvec_merge.recipe import catalog
    from rvec_merge.recipe.resources import folder

    if show_path and as_json:
        raise click.UsageError("--path and --json exclude each other.")
    if on_hub and (words or show_path):
        raise click.UsageError("--hub lists recipes; fetch one with rvec pull.")
    if (wanted := shelves.copied(words)) is not None:
        shelves.copy(catalog.find(wanted[0]).text, *wanted)
    elif len(words) > 1:
        raise click.UsageError(f"Got unexpected extra argument ({words[1]})")
    elif on_hub:
        _list_hub(as_json)
    elif words:
        text = catalog.find(words[0]).text
        shelves.show(catalog.shelf(), words[0], text, path=show_path, as_json=as_json)
    elif show_path:
        echo(folder("recipes"))
    elif as_json:
        echo_json([shelves.as_dict(recipe) for recipe in catalog.bundled()])
    else:
        shelves.print_table(
            [
                {"name": r.name, "what": r.what, "target": r.target, "scale": _scale_text(r.scale)}
                for r in catalog.bundled()
            ],
            wide=["target", "scale"],
        )


def _list_hub(as_json: bool) -> None:
    from dataclasses import asdict

    from rvec_merge.sharing.index import search_recipes

    found = [asdict(recipe) for recipe in search_recipes()]
    if as_json:
        echo_json(found)
    else:
        names = ("name", "target", "likes", "updated")
        rows = [{key: str(row[key] or "") for key in names} for row in found]
        shelves.print_table(rows)


def _scale_text(scale: Any) -> str:
    if not isinstance(scale, list):
        return f"{scale:g}"
    if all(isinstance(step, dict) for step in scale):
        return "\n".join(f"{step.get('filter', 'else')}: {step['value']:g}" for step in scale)
    return " → ".join(f"{step:g}" for step in scale)
