"""``rvec merge``: execute a recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvec_merge.cli.echo import echo
from rvec_merge.cli.options import (
    allow_option,
    allow_pickle_option,
    device_option,
    trust_remote_code_option,
)
from rvec_merge.cli.sizes import Size, size_text

if TYPE_CHECKING:
    from rvec_merge.merge.run import Outcome

# Below this share of the scale asked for, the summary advises a wider output.
ENOUGH = 0.9


@click.command(short_help="Merge a recipe into a new folder.")
@click.argument("recipe", metavar="RECIPE")
@click.argument("out", type=click.Path(path_type=Path))
@device_option("cpu")
@click.option("--cuda", is_flag=True, help="Short for --device cuda.")
@click.option("-j", "--num-threads", type=click.IntRange(min=1), help="Default: cores, at most 4.")
@click.option(
    "--shard-size", type=Size(), default="5GB", show_default=True, help="Largest output file."
)
@click.option("--copy-tokenizer/--no-copy-tokenizer", default=True, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace an earlier output, in one step.")
@click.option("--hash", "hash_files", is_flag=True, help="Record sha256 of local input files.")
@allow_pickle_option
@trust_remote_code_option
@allow_option
@click.option("--random-seed", type=int, help="For mergekit's own randomised methods.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--quiet", is_flag=True, help="No progress bar, no summary.")
@click.option("-v", "verbosity", count=True, help="Log more; twice for everything.")
def command(
    recipe: str,
    out: Path,
    device: str,
    cuda: bool,
    num_threads: int | None,
    shard_size: int,
    copy_tokenizer: bool,
    overwrite: bool,
    hash_files: bool,
    allow_pickle: bool,
    trust_remote_code: bool,
    allowed: tuple[str, ...],
    random_seed: int | None,
    as_json: bool,
    quiet: bool,
    verbosity: int,
) -> None:
    """Merge RECIPE into the new folder OUT: mergekit's bits, many times faster, all or nothing.

    RECIPE is a file, or a repo on the Hub: hf://REPO_ID[@revision].
    """
    import logging

    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    logging.basicConfig(level=levels[min(verbosity, 2)])
    from rvec_merge.hub.recipes import open_recipe
    from rvec_merge.merge.prepare import fetch_inputs
    from rvec_merge.merge.run import merge
    from rvec_merge.merge.settings import Settings

    settings = Settings(
        device="cuda" if cuda else device,
        num_threads=num_threads,
        shard_size=shard_size,
        copy_tokenizer=copy_tokenizer,
        trust_remote_code=trust_remote_code,
        random_seed=random_seed,
        allowed=allowed,
        allow_pickle=allow_pickle,
        overwrite=overwrite,
        hash_files=hash_files,
        quiet=quiet,
    )
    read = open_recipe(recipe)
    fetch_inputs(read, out, settings)
    with _bar(hidden=quiet or as_json) as bar:
        outcome = merge(read, out, settings, bar)
    for warning in outcome.warnings:
        echo(f"Warning: {warning}", err=True)
    if as_json:
        import json

        echo(json.dumps(_as_dict(outcome), indent=2))
    elif not quiet:
        echo(_summary(outcome))


def _bar(*, hidden: bool) -> Any:
    import sys
    from contextlib import nullcontext

    if hidden or not sys.stderr.isatty():
        return nullcontext()
    from rvec_merge.cli.bytes_bar import BytesBar

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
    if abs(effect.effective_scale) < ENOUGH * abs(effect.scale):
        lines.append("  Most of what is missing was rounded away: write out_dtype: float32.")
    return "\n".join(lines)


def _as_dict(outcome: "Outcome") -> dict[str, Any]:
    return {
        **{k: v for k, v in vars(outcome).items() if k not in ("out", "effect", "warnings")},
        "out": str(outcome.out),
        "rate": outcome.rate,
        "effect": None if outcome.effect is None else vars(outcome.effect),
        "warnings": [str(warning) for warning in outcome.warnings],
    }
