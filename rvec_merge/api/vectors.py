"""Extracting vectors, and looking at them."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rvec_merge.declare import Dequantize, Misuse, Option, Pair

if TYPE_CHECKING:
    from rvec_merge.recipe.catalog import RecipeSource
    from rvec_merge.vector.inputs import Vector
    from rvec_merge.vector.inspection import Inspection

Format = Literal["compact", "dense", "lora"]
Source = Any  # what a vector is read from; its protocol is vector.inputs.Vector


@dataclass(frozen=True)
class Extracted:
    """A vector that was written.

    Attributes:
        facts: what the format has to say: its density and norm, or what rounding lost.
        bytes: of its weights.
    """

    out: Path
    format: Format
    facts: Mapping[str, Any]
    seconds: float
    bytes: int


@dataclass(frozen=True)
class ExtractSettings:
    """What is extracted, and into which form.

    Raises:
        Misuse: options that do not go together.
    """

    grpo: Annotated[
        str | None, Option("The donor trained with reinforcement learning.", metavar="MODEL")
    ] = None
    sft: Annotated[str | None, Option("The donor it started from.", metavar="MODEL")] = None
    vector: Annotated[
        str | None, Option("A vector file to convert, instead of donors.", metavar="VECTOR")
    ] = None
    pair: Pair = None
    format: Annotated[Format, Option("Of the file.")] = "compact"
    rank: Annotated[
        int | None,
        Option("Rank of the adapter (lora); default: of two adapters on one base, exact.", least=1),
    ] = None
    dtype: Annotated[
        Literal["bfloat16", "float32", "float64"] | None,
        Option("Of the file (dense); default: what is exact."),
    ] = None
    level: Annotated[
        int | None,
        Option(
            "zstd level (compact); default: entropy coding alone, which is smaller and faster.",
            least=1,
            most=22,
        ),
    ] = None
    shard_size: Annotated[int, Option("Largest file.", size=True)] = 5_000_000_000
    dequantize: Dequantize = False
    stream: Annotated[bool, Option("Fetch donors shard by shard, and keep none.")] = False
    overwrite: Annotated[bool, Option("Replace an earlier output.")] = False
    hash_files: Annotated[bool, Option("Record sha256 of local donor files.", ("--hash",))] = False

    def __post_init__(self) -> None:
        if (self.grpo is None) != (self.sft is None) or (self.grpo and self.vector):
            raise Misuse("Name both donors (--grpo and --sft), or one --vector.")
        if self.pair is not None and self.named:
            raise Misuse("--pair chooses among a recipe's pairs; there is no recipe.")
        for name, belongs in (("rank", "lora"), ("dtype", "dense"), ("level", "compact")):
            if getattr(self, name) is not None and self.format != belongs:
                raise Misuse(f"--{name} belongs to --format {belongs}.")
        if self.stream and (self.format != "compact" or self.vector is not None):
            raise Misuse("--stream reads donors, and writes the compact format.")

    @property
    def named(self) -> bool:
        """Whether donors or a vector are named, so that there is no recipe."""
        return self.grpo is not None or self.vector is not None


def extract(recipe: "RecipeSource | None", out: str | Path, **options: Any) -> Extracted:
    """Write the reasoning vector of a recipe, or of two donors, to the new folder ``out``.

    The vector is grpo − sft itself: scale, weights, masks and control stay in the recipe.

    Args:
        recipe: None where ``grpo`` and ``sft``, or ``vector``, are given.
        options: fields of ``ExtractSettings``.
    """
    return write_vector(
        recipe, Path(out), ExtractSettings(**options), lambda source: lambda n: None
    )


def write_vector(
    recipe: "RecipeSource | None",
    out: Path,
    settings: ExtractSettings,
    progress: Callable[[Source], Callable[[int], None]],
) -> Extracted:
    """See ``extract``; ``progress`` makes, of the open vector, what is told of elements done."""
    if (recipe is None) != settings.named:
        raise Misuse("Give a recipe, or both donors, or a vector.")
    with _open(recipe, out, settings) as source:
        start = time.perf_counter()
        write = {"compact": _compact, "dense": _dense, "lora": _lora}[settings.format]
        facts = write(source, out, settings, progress(source))
    seconds = round(time.perf_counter() - start, 3)
    nbytes = sum(path.stat().st_size for path in out.glob("*.safetensors"))
    return Extracted(out, settings.format, facts, seconds, nbytes)


@contextmanager
def _open(
    recipe: "RecipeSource | None", out: Path, settings: ExtractSettings
) -> "Iterator[Source]":
    from rvec_merge.hub import vectors

    if settings.vector is not None:
        yield vectors.open_vector(settings.vector)
        return
    if settings.grpo is not None and settings.sft is not None:
        names = (settings.grpo, settings.sft)
    else:
        from rvec_merge.hub.recipes import open_recipe

        assert recipe is not None
        read = open_recipe(recipe)
        if not settings.stream:
            yield vectors.open_recipe_vector(read, settings.pair, dequantize=settings.dequantize)
            return
        names = vectors.donors_of(read, settings.pair)
    if settings.stream:
        from rvec_merge.hub.stream import streamed_donors

        with streamed_donors(*names, out) as source:
            yield source
    else:
        yield vectors.open_donors(*names, dequantize=settings.dequantize)


def _common(settings: ExtractSettings) -> dict[str, Any]:
    return {"hash_files": settings.hash_files, "overwrite": settings.overwrite}


def _compact(
    source: Source, out: Path, settings: ExtractSettings, progress: Callable[[int], None]
) -> dict[str, Any]:
    from rvec_merge.vector.extract import extract_compact

    options = {**_common(settings), "shard_size": settings.shard_size, "level": settings.level}
    totals = extract_compact(source, out, progress=progress, **options).totals
    return {
        "tensors": totals.tensors,
        "elements": totals.elements,
        "density": totals.nonzero / max(totals.elements, 1),
        "norm": totals.norm,
    }


def _dense(
    source: Source, out: Path, settings: ExtractSettings, progress: Callable[[int], None]
) -> dict[str, Any]:
    from rvec_merge.checkpoint.tensor import dtype_named
    from rvec_merge.vector.dense import extract_dense

    dtype = dtype_named(settings.dtype)
    options = {**_common(settings), "shard_size": settings.shard_size, "dtype": dtype}
    report = extract_dense(source, out, progress=progress, **options)
    return {
        "dtype": f"{report.dtype}",
        "tensors": report.tensors,
        "elements": report.elements,
        "norm": report.norm,
        "inexact": report.inexact,
        "relative_residual": report.residual,
    }


def _lora(
    source: Source, out: Path, settings: ExtractSettings, progress: Callable[[int], None]
) -> dict[str, Any]:
    from rvec_merge.vector.lora import extract_lora

    report = extract_lora(source, out, rank=settings.rank, **_common(settings))
    return {
        "rank": report.rank,
        "relative_residual": report.residual,
        "modules": {module.tensor: module.residual for module in report.modules},
    }


def inspect(
    *vectors: "RecipeSource",
    target: Annotated[
        str | None, Option("Relate norms to this model's weights.", metavar="MODEL")
    ] = None,
    base: Annotated[
        str | None, Option("Add the cosine with target − base.", metavar="MODEL")
    ] = None,
    pair: Pair = None,
    stable_rank: Annotated[bool, Option("Estimate stable ranks (slow).")] = False,
) -> "Inspection":
    """A vector's norms, density and directions, by module kind and by layer.

    Args:
        vectors: vector files or repos, or recipes; those after the first are compared with it.

    Raises:
        Misuse: ``base`` without a target.
    """
    from rvec_merge.checkpoint.header import Checkpoint
    from rvec_merge.hub.models import locate
    from rvec_merge.vector.inspection import inspect_vector

    opened = [_vector(source, pair) for source in vectors]
    target = target or opened[0][1]
    if base is not None and target is None:
        raise Misuse("--base needs --target (or a recipe, which names one).")
    return inspect_vector(
        opened[0][0],
        [vector for vector, _ in opened[1:]],
        target=None if target is None else Checkpoint.open(locate(target)),
        base=None if base is None else Checkpoint.open(locate(base)),
        ranks=stable_rank,
    )


def _vector(source: "RecipeSource", pair: str | None) -> "tuple[Vector, str | None]":
    """The vector, and the target if a recipe names one."""
    from rvec_merge.hub.recipes import is_recipe, open_recipe
    from rvec_merge.hub.vectors import open_recipe_vector, open_vector

    if isinstance(source, str | Path) and not is_recipe(source):
        return open_vector(str(source)), None
    recipe = open_recipe(source)
    return open_recipe_vector(recipe, pair), str(recipe.config.base_model)
