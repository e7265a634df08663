"""``rvec check``: what a recipe would do, and what stands in its way."""

from pathlib import Path

import click

from rvec_merge.cli.options import allow_option, allow_pickle_option, trust_remote_code_option


@click.command(short_help="Check a recipe before a weight is read.")
@click.argument("recipe", metavar="RECIPE")
@click.argument("out", required=False, type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Read a sample of the weights: are donors related?")
@click.option("--overwrite", is_flag=True, help="OUT may exist, and would be replaced.")
@allow_pickle_option
@trust_remote_code_option
@allow_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    recipe: str,
    out: Path | None,
    deep: bool,
    overwrite: bool,
    allow_pickle: bool,
    trust_remote_code: bool,
    allowed: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check RECIPE, and that OUT can be written, before a weight is read; print the plan.

    RECIPE is a file, or a repo on the Hub: hf://REPO_ID[@revision]. Of models on the Hub, headers
    alone are read, unless --deep fetches them. Every problem is listed. Exits with 1 if there is
    one; warnings do not count.
    """
    from rvec_merge.cli._check_text import print_json, print_text
    from rvec_merge.errors import Notice, RvecError
    from rvec_merge.hub.recipes import fetch_models, open_recipe
    from rvec_merge.hub.remote import see
    from rvec_merge.merge.prepare import prepare
    from rvec_merge.merge.settings import Settings
    from rvec_merge.preflight.deep import Closeness, compare_weights

    try:
        read = open_recipe(recipe)
    except RvecError as error:
        if not as_json:
            raise
        print_json([error], [], None, [])
        return 1
    settings = Settings(
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
        overwrite=overwrite,
        allowed=allowed,
    )
    report = prepare(read, out, settings, see).report
    if deep and not report.errors and fetch_models(read):
        report = prepare(read, out, settings, see).report
    errors, warnings = [*report.errors], [*report.warnings]
    closeness: list[Closeness] = []
    if deep and report.tensors and not errors:
        closeness, found = compare_weights({m.reference: m for m in report.models}, report.tensors)
        errors += [f for f in found if isinstance(f, RvecError)]
        warnings += [f for f in found if isinstance(f, Notice)]
    if as_json:
        print_json(errors, warnings, report, closeness)
    else:
        print_text(str(recipe), out, errors, warnings, report, closeness)
    return 1 if errors else 0
