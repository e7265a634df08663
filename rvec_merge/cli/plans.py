"""``rvec plans``: list the bundled plans, print or copy one, or begin one of your own."""

import click

from rvec_merge.cli import completion, shelves
from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option

_NEW = """\
# Does this vector help this target?   rvec experiment {file} --dry-run
recipe: {recipe}
tasks: [{tasks}]                 # `rvec tasks` lists ours; any of lm-eval's will do
# perturbations: [typos, numeric]  # where a task has them: docs/perturbations.md
scales: [0.5, 1.0]                 # one of them is chosen, on other items than are reported
selection: {{by: share, share: 0.3}}
# controls: {{random: 6, permuted: 2}}  # vectors of the same norm that carry no skill
# precision: bfloat16               # what a 16-bit merge would do; float32 by default
# limit: 100                        # items per task, for a first look
# generation: {{max_gen_toks: 2048}}  # for models that reason at length
# chat_template: false              # for base models
batch_size: 16
"""


@click.command(short_help="List the bundled plans, print or copy one, or begin one.")
@click.argument(
    "words",
    nargs=-1,
    metavar="[NAME | copy NAME [FILE] | new [FILE]]",
    shell_complete=completion.plans,
)
@click.option("--recipe", help="Of a new plan: what it evaluates.")
@click.option("--tasks", help="Of a new plan: names, with commas between.")
@click.option("--path", "show_path", is_flag=True, help="Print the path of the folder or plan.")
@json_option
def command(
    words: tuple[str, ...],
    recipe: str | None,
    tasks: str | None,
    show_path: bool,
    as_json: bool,
) -> None:
    """List the bundled plans, print the plan NAME, or write an editable copy.

    `rvec plans new --recipe r.yaml --tasks rvec_gsm8k` writes a small plan for your own models.
    """
    from rvec_merge.errors import PlanError
    from rvec_merge.experiment.plan_file import shelf
    from rvec_merge.recipe.resources import folder

    if show_path and as_json:
        raise click.UsageError("--path and --json exclude each other.")
    if words[:1] == ("new",) and len(words) <= 2:
        _new(recipe, tasks, words[1] if len(words) == 2 else "plan.yaml")
        return
    if recipe or tasks:
        raise click.UsageError("--recipe and --tasks belong to rvec plans new.")
    bundled = shelf()
    if (wanted := shelves.copied(words)) is not None:
        file = bundled.find(wanted[0], PlanError)
        shelves.copy(file.path.read_text("utf-8"), *wanted)
    elif len(words) > 1:
        raise click.UsageError(f"Got unexpected extra argument ({words[1]})")
    elif words:
        file = bundled.find(words[0], PlanError)
        text = file.path.read_text("utf-8")
        shelves.show(bundled, words[0], text, path=show_path, as_json=as_json)
    elif show_path:
        echo(folder("eval") / "experiments")
    elif as_json:
        echo_json([shelves.as_dict(file) for file in bundled.files])
    else:
        shelves.print_table([{"name": file.name, "what": file.what} for file in bundled.files])


def _new(recipe: str | None, tasks: str | None, out: str) -> None:
    import json

    from rvec_merge.experiment.plan_file import read_plan

    if recipe is None or tasks is None:
        raise click.UsageError("A new plan needs --recipe and --tasks.")
    names = ", ".join(name.strip() for name in tasks.split(","))
    text = _NEW.format(recipe=json.dumps(recipe), tasks=names, file=out)
    read_plan(text)  # a plan that cannot be read is not written
    shelves.copy(text, "plan", out)
