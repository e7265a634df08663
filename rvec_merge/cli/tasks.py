"""``rvec tasks``: list the lm-eval tasks that come with this package."""

import click

from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option


@click.command(short_help="List the lm-eval tasks that come with this package.")
@click.argument("words", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="List the members of groups too.")
@click.option("--path", "show_path", is_flag=True, help="Print what lm_eval --include_path needs.")
@click.option("--sample-data", is_flag=True, help="Print the folder of the shipped sample items.")
@json_option
def command(
    words: tuple[str, ...], everything: bool, show_path: bool, sample_data: bool, as_json: bool
) -> None:
    """List the lm-eval tasks and groups whose names hold all WORDS.

    Use them with stock lm-eval:

        lm_eval run --include_path "$(rvec tasks --path)" --tasks rvec_gsm8k_think ...
    """
    from rvec_merge.errors import TaskError
    from rvec_merge.recipe.resources import folder
    from rvec_merge.tasks.tasks_index import include_path, list_tasks

    if show_path + sample_data + as_json > 1:
        raise click.UsageError("--path, --sample-data and --json exclude each other.")
    if show_path or sample_data:
        echo(include_path() if show_path else folder("eval") / "data")
        return
    found = [entry for entry in list_tasks() if all(word in entry.name for word in words)]
    if as_json:
        from dataclasses import asdict

        echo_json([asdict(entry) for entry in found])
        return
    shown = [entry for entry in found if everything or entry.group is None]
    width = max((len(entry.name) for entry in shown), default=0)
    for entry in shown:
        echo(f"{entry.name:{width}}  {entry.summary}")
    if len(shown) < len(found):
        echo(f"and {len(found) - len(shown)} members of groups; --all lists them.", err=True)
    elif not found:
        raise TaskError(
            "No task's name holds all of these words.",
            [" ".join(words)],
            "`rvec tasks` lists ours, `lm_eval ls tasks` lm-eval's.",
        )
