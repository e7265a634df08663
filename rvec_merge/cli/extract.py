"""``rvec extract``: write a reasoning vector to a file of its own."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rvec_merge.cli.echo import echo
from rvec_merge.cli.sizes import Size

FORMATS = ("compact", "dense", "lora")
DTYPES = ("bfloat16", "float32", "float64")


@click.command(short_help="Write the reasoning vector of a recipe, or of two donors.")
@click.argument("paths", nargs=-1, metavar="[RECIPE] OUT")
@click.option("--grpo", metavar="MODEL", help="The donor trained with reinforcement learning.")
@click.option("--sft", metavar="MODEL", help="The donor it started from.")
@click.option("--vector", metavar="VECTOR", help="A vector file to convert, instead of donors.")
@click.option("--pair", metavar="NAME", help="Which pair of a recipe that has several.")
@click.option("--format", "kind", type=click.Choice(FORMATS), default="compact", show_default=True)
@click.option("--rank", type=click.IntRange(min=1), help="Rank of the adapter (lora).")
@click.option(
    "--dtype", type=click.Choice(DTYPES), help="Of the file (dense); default: what is exact."
)
@click.option(
    "--level",
    type=click.IntRange(1, 22),
    help="zstd level (compact); default: entropy coding alone, which is smaller and faster.",
)
@click.option("--shard-size", type=Size(), default="5GB", show_default=True, help="Largest file.")
@click.option("--stream", is_flag=True, help="Fetch donors shard by shard, and keep none.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier output.")
@click.option("--hash", "hash_files", is_flag=True, help="Record sha256 of local donor files.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def command(
    paths: tuple[str, ...],
    grpo: str | None,
    sft: str | None,
    vector: str | None,
    pair: str | None,
    kind: str,
    rank: int | None,
    dtype: str | None,
    level: int | None,
    shard_size: int,
    stream: bool,
    overwrite: bool,
    hash_files: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the reasoning vector of RECIPE, or of two donors, to the new folder OUT.

    The vector is grpo − sft itself: the recipe's scale, weights, masks and control stay in the
    recipe. `compact` is lossless and small, for `rvec merge`; `dense` loads wherever a model
    does, stock mergekit included; `lora` is a PEFT adapter, and lossy. RECIPE and VECTOR may be
    repos on the Hub: hf://REPO_ID[@revision].
    """
    _check_usage(
        paths, grpo, sft, vector, pair, kind, {"rank": rank, "dtype": dtype, "level": level}
    )
    if stream and (kind != "compact" or vector is not None):
        raise click.UsageError("--stream reads donors, and writes the compact format.")
    out = Path(paths[-1])
    common: dict[str, Any] = {"hash_files": hash_files, "overwrite": overwrite}
    if kind != "lora":
        common["shard_size"] = shard_size
    with (
        _open(paths[0], out, grpo, sft, vector, pair, stream) as source,
        _progress(source, hidden=quiet or kind == "lora") as progress,
    ):
        start = time.perf_counter()
        if kind == "compact":
            summary = _compact(source, out, level=level, progress=progress, **common)
        elif kind == "dense":
            summary = _dense(source, out, dtype, progress=progress, **common)
        else:
            summary = _lora(source, out, rank=rank, **common)
    summary["seconds"] = round(time.perf_counter() - start, 3)
    summary["bytes"] = sum(path.stat().st_size for path in out.glob("*.safetensors"))
    _print(out, summary, as_json)


def _check_usage(
    paths: tuple[str, ...],
    grpo: str | None,
    sft: str | None,
    vector: str | None,
    pair: str | None,
    kind: str,
    special: dict[str, Any],
) -> None:
    if (grpo is None) != (sft is None) or (grpo is not None and vector is not None):
        raise click.UsageError("Name both donors (--grpo and --sft), or one --vector.")
    named = grpo is not None or vector is not None
    if len(paths) != (1 if named else 2):
        raise click.UsageError("Give RECIPE OUT, or OUT with --grpo and --sft, or with --vector.")
    if pair is not None and named:
        raise click.UsageError("--pair chooses among a recipe's pairs; there is no recipe.")
    for name, belongs in (("rank", "lora"), ("dtype", "dense"), ("level", "compact")):
        if special[name] is not None and kind != belongs:
            raise click.UsageError(f"--{name} belongs to --format {belongs}.")
    if kind == "lora" and special["rank"] is None:
        raise click.UsageError("--format lora needs --rank.")


@contextmanager
def _open(
    recipe: str,
    out: Path,
    grpo: str | None,
    sft: str | None,
    vector: str | None,
    pair: str | None,
    stream: bool,
) -> Iterator[Any]:
    from rvec_merge.hub import vectors

    if vector is not None:
        yield vectors.open_vector(vector)
        return
    if grpo is not None and sft is not None:
        names = (grpo, sft)
    else:
        from rvec_merge.hub.recipes import open_recipe

        read = open_recipe(recipe)
        if not stream:
            yield vectors.open_recipe_vector(read, pair)
            return
        names = vectors.donors_of(read, pair)
    if stream:
        from rvec_merge.hub.stream import streamed_donors

        with streamed_donors(*names, out) as source:
            yield source
    else:
        yield vectors.open_donors(*names)


def _compact(source: Any, out: Path, **options: Any) -> dict[str, Any]:
    from rvec_merge.vector.extract import extract_compact

    totals = extract_compact(source, out, **options).totals
    return {
        "format": "compact",
        "tensors": totals.tensors,
        "elements": totals.elements,
        "density": totals.nonzero / max(totals.elements, 1),
        "norm": totals.norm,
    }


def _dense(source: Any, out: Path, dtype: str | None, **options: Any) -> dict[str, Any]:
    import torch

    from rvec_merge.vector.dense import extract_dense

    chosen = None if dtype is None else getattr(torch, dtype)
    report = extract_dense(source, out, dtype=chosen, **options)
    return {
        "format": "dense",
        "dtype": str(report.dtype).removeprefix("torch."),
        "tensors": report.tensors,
        "elements": report.elements,
        "norm": report.norm,
        "inexact": report.inexact,
        "relative_residual": report.residual,
    }


def _lora(source: Any, out: Path, **options: Any) -> dict[str, Any]:
    from rvec_merge.vector.lora import extract_lora

    report = extract_lora(source, out, **options)
    return {
        "format": "lora",
        "rank": report.rank,
        "relative_residual": report.residual,
        "modules": {module.tensor: module.residual for module in report.modules},
    }


@contextmanager
def _progress(source: Any, *, hidden: bool) -> Iterator[Any]:
    if hidden or not sys.stderr.isatty():
        yield lambda done: None
        return
    from math import prod

    from rvec_merge.cli.bytes_bar import BytesBar

    elements = sum(prod(shape) for shape in source.shapes.values())
    inputs = (i for name in source.shapes for _, i in source.delta(name).inputs)
    nbytes = sum(i.numel() * i.dtype.itemsize for i in inputs)
    with BytesBar() as bar:
        bar.begin(nbytes)
        yield lambda done: bar.advance(done * nbytes // max(elements, 1))


def _print(out: Path, summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        echo(json.dumps({"out": str(out), **summary}, indent=2))
        return
    size = f"{summary['bytes'] / 1e6:.1f} MB in {summary['seconds']:.1f} s"
    echo(f"{out}: {summary['format']}, {size}")
    if "density" in summary:
        echo(f"density {summary['density']:.3f}, norm {summary['norm']:.4g}, lossless")
    elif "dtype" in summary:
        lost = f"{summary['inexact']} of {summary['elements']} elements rounded, relative residual"
        exact = "exact" if not summary["inexact"] else f"{lost} {summary['relative_residual']:.2g}"
        echo(f"{summary['dtype']}, norm {summary['norm']:.4g}, {exact}")
    else:
        _print_residuals(summary)


def _print_residuals(summary: dict[str, Any]) -> None:
    echo(
        f"rank {summary['rank']}, relative residual {summary['relative_residual']:.3f} "
        "(0 is exact, 1 is nothing kept)"
    )
    for name, residual in summary["modules"].items():
        echo(f"  {residual:.3f}  {name}")
