"""``rvec recipes``: list the bundled recipes, or print one."""

from typing import Any

import click

from rvec_merge.cli.echo import echo


@click.command(short_help="List the bundled recipes, or print one.")
@click.argument("name", required=False)
@click.option("--path", "show_path", is_flag=True, help="Print the path of the folder or recipe.")
@click.option("--hub", "on_hub", is_flag=True, help="List those that others share on the Hub.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def command(name: str | None, show_path: bool, on_hub: bool, as_json: bool) -> None:
    """List the bundled recipes, or print the recipe NAME."""
    from rvec_merge import catalog
    from rvec_merge.resources import folder

    if show_path and as_json:
        raise click.UsageError("--path and --json exclude each other.")
    if on_hub and (name is not None or show_path):
        raise click.UsageError("--hub lists recipes; fetch one with rvec pull.")
    if on_hub:
        _list_hub(as_json)
    elif name is not None:
        recipe = catalog.find(name)
        if as_json:
            _print_json(_as_dict(recipe))
        else:
            echo(recipe.path if show_path else recipe.path.read_text("utf-8"), nl=show_path)
    elif show_path:
        echo(folder("recipes"))
    elif as_json:
        _print_json([_as_dict(recipe) for recipe in catalog.bundled()])
    else:
        _print_table(catalog.bundled())


def _list_hub(as_json: bool) -> None:
    from dataclasses import asdict

    from rich import box
    from rich.table import Table

    from rvec_merge.cli.console import PlainConsole
    from rvec_merge.hub.search import search_recipes

    found = search_recipes()
    if as_json:
        _print_json([asdict(recipe) for recipe in found])
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("target", overflow="fold")
    table.add_column("likes", justify="right")
    table.add_column("updated", no_wrap=True)
    for recipe in found:
        target = recipe.target or ""
        table.add_row(recipe.name, target, str(recipe.likes), recipe.updated or "")
    PlainConsole().print(table)


def _print_table(recipes: Any) -> None:
    from rich import box
    from rich.table import Table

    from rvec_merge.cli.console import PlainConsole

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what")
    table.add_column("target", overflow="fold")
    table.add_column("scale", min_width=14)
    for recipe in recipes:
        table.add_row(recipe.name, recipe.what, recipe.target, _scale_text(recipe.scale))
    PlainConsole().print(table)


def _scale_text(scale: Any) -> str:
    if not isinstance(scale, list):
        return f"{scale:g}"
    if all(isinstance(step, dict) for step in scale):
        return "\n".join(f"{step.get('filter', 'else')}: {step['value']:g}" for step in scale)
    return " → ".join(f"{step:g}" for step in scale)


def _as_dict(recipe: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(recipe), "path": str(recipe.path)}


def _print_json(value: Any) -> None:
    import json

    echo(json.dumps(value, indent=2, ensure_ascii=False))
