"""``rvec extract``: write a reasoning vector to a file of its own."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rvec_merge.api.vectors import Extracted, ExtractSettings, write_vector
from rvec_merge.cli import completion
from rvec_merge.cli.echo import echo, echo_json
from rvec_merge.cli.options import json_option, options, quiet_option
from rvec_merge.shown import size_text


@click.command(short_help="Write the reasoning vector of a recipe, or of two donors.")
@click.argument("paths", nargs=-1, metavar="[RECIPE] OUT", shell_complete=completion.recipes)
@options(ExtractSettings)
@json_option
@quiet_option
def command(paths: tuple[str, ...], as_json: bool, quiet: bool, **given: Any) -> None:
    """Write the reasoning vector of RECIPE, or of two donors, to the new folder OUT.

    The vector is grpo − sft itself: the recipe's scale, weights, masks and control stay in the
    recipe. `compact` is lossless and small, for `rvec merge`; `dense` loads wherever a model
    does, stock mergekit included; `lora` is a PEFT adapter: exact where both donors are adapters
    on one base, lossy with --rank. RECIPE is a file or a bundled recipe's name; it and VECTOR may
    be repos on the Hub: hf://REPO_ID[@revision].
    """
    settings = ExtractSettings(**given)
    if len(paths) != (1 if settings.named else 2):
        raise click.UsageError("Give RECIPE OUT, or OUT with --grpo and --sft, or with --vector.")
    recipe = None if settings.named else paths[0]
    with _progress(hidden=quiet or settings.format == "lora") as progress:
        written = write_vector(recipe, Path(paths[-1]), settings, progress)
    if as_json:
        sizes = {"seconds": written.seconds, "bytes": written.bytes}
        echo_json({"out": str(written.out), "format": written.format, **written.facts, **sizes})
    else:
        _print(written)


@contextmanager
def _progress(*, hidden: bool) -> Iterator[Callable[[Any], Callable[[int], None]]]:
    """What makes, of a vector, what is told of elements done."""
    if hidden or not sys.stderr.isatty():
        yield lambda source: lambda done: None
        return
    from math import prod

    from rvec_merge.cli.progress import BytesBar

    with BytesBar() as bar:

        def begin(source: Any) -> Callable[[int], None]:
            elements = sum(prod(shape) for shape in source.shapes.values())
            inputs = (i for name in source.shapes for _, i in source.delta(name).inputs)
            nbytes = sum(i.size * i.dtype.itemsize for i in inputs)
            bar.begin(nbytes)
            return lambda done: bar.advance(done * nbytes // max(elements, 1))

        yield begin


def _print(written: Extracted) -> None:
    facts = written.facts
    size = f"{size_text(written.bytes)} in {written.seconds:.1f} s"
    echo(f"{written.out}: {written.format}, {size}")
    if "density" in facts:
        echo(f"density {facts['density']:.3f}, norm {facts['norm']:.4g}, lossless")
    elif "dtype" in facts:
        lost = f"{facts['inexact']} of {facts['elements']} elements rounded, relative residual"
        exact = "exact" if not facts["inexact"] else f"{lost} {facts['relative_residual']:.2g}"
        echo(f"{facts['dtype']}, norm {facts['norm']:.4g}, {exact}")
    else:
        echo(
            f"rank {facts['rank']}, relative residual {facts['relative_residual']:.3f} "
            "(0 is exact, 1 is nothing kept)"
        )
        for name, residual in facts["modules"].items():
            echo(f"  {residual:.3f}  {name}")
