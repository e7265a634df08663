"""``rvec merge``: execute a recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvec_merge.api import merging
from rvec_merge.cli import completion
from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option, options, quiet_option
from rvec_merge.merge.settings import Settings
from rvec_merge.shown import size_text

if TYPE_CHECKING:
    from rvec_merge.merge.run import Outcome

# The summary gives advice where the effective scale is further off than this.
CLOSE = 0.05


@click.command(short_help="Merge a recipe into a new folder.")
@click.argument("recipe", metavar="RECIPE", shell_complete=completion.recipes)
@click.argument("out", type=click.Path(path_type=Path))
@options(Settings)
@click.option("--cuda", is_flag=True, help="Short for --device cuda.")
@json_option
@quiet_option
@click.option("-v", "verbosity", count=True, help="Log more; twice for everything.")
def command(
    recipe: str, out: Path, cuda: bool, as_json: bool, quiet: bool, verbosity: int, **given: Any
) -> None:
    """Merge RECIPE into the new folder OUT: mergekit's bits, many times faster, all or nothing.

    RECIPE is a file, a bundled recipe's name, or a repo on the Hub: hf://REPO_ID[@revision].
    """
    import logging

    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    logging.basicConfig(level=levels[min(verbosity, 2)])
    if cuda:
        given["device"] = "cuda"
    with _bar(hidden=quiet or as_json) as bar:
        outcome = merging.merge(recipe, out, Settings(quiet=quiet, **given), progress=bar or False)
    for warning in outcome.warnings:
        echo(f"Warning: {warning}", err=True)
    if as_json:
        echo_json(_as_dict(outcome))
    elif not quiet:
        echo(_summary(outcome))


def _bar(*, hidden: bool) -> Any:
    import sys
    from contextlib import nullcontext

    if hidden or not sys.stderr.isatty():
        return nullcontext()
    from rvec_merge.cli.progress import BytesBar

    return BytesBar()


def _summary(outcome: "Outcome") -> str:
    lines = [f"{outcome.out}: {outcome.tensors} tensors, {size_text(outcome.nbytes)}"]
    time = f"planned in {outcome.planning:.1f} s, merged in {outcome.seconds:.1f} s"
    if outcome.executor is not None:
        lines.append(f"  by mergekit's executor, because {outcome.executor}; {time}")
        return "\n".join(lines)
    lines.append(f"  {time}, {size_text(int(outcome.rate))}/s read and written")
    effect = outcome.effect
    if effect is None:
        lines.append("  the vector is zero everywhere it was looked at: the output is the target")
        return "\n".join(lines)
    norm = effect.relative_norm
    relative = "" if norm is None else f"{norm:.2e} of the target's norm, "
    lines.append(f"  vector: {relative}density {effect.density:.1%}")
    lines.append(
        f"  effective scale {effect.effective_scale:.3f} of {effect.scale:.3f}; rounding left "
        f"{effect.lost:.1%} of the vector's elements without effect"
    )
    off = abs(effect.effective_scale) - abs(effect.scale)
    if abs(off) > CLOSE * abs(effect.scale):
        what = "What is missing was rounded away" if off < 0 else "Rounding added what is too much"
        lines.append(f"  {what}: write out_dtype: float32.")
    return "\n".join(lines)


def _as_dict(outcome: "Outcome") -> dict[str, Any]:
    return {
        **{k: v for k, v in vars(outcome).items() if k not in ("out", "effect", "warnings")},
        "out": str(outcome.out),
        "rate": outcome.rate,
        "effect": None if outcome.effect is None else vars(outcome.effect),
        "warnings": [str(warning) for warning in outcome.warnings],
    }
