"""Checking, merging and verifying recipes."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rvec_merge.api.progress import Bar
from rvec_merge.declare import Option, sorted_into
from rvec_merge.merge.settings import Settings

if TYPE_CHECKING:
    from rvec_merge.errors import Notice, RvecError
    from rvec_merge.merge.run import BytesWatch, Outcome
    from rvec_merge.merge.verify import Verification
    from rvec_merge.preflight import PreflightReport
    from rvec_merge.preflight.deep import Closeness
    from rvec_merge.recipe.catalog import RecipeSource


@dataclass(frozen=True)
class Check:
    """What stands in a recipe's way, and what it would do.

    Attributes:
        report: the inputs and the plan; None where the recipe cannot be read.
        closeness: each donor beside the target, of a deep check.
    """

    errors: "tuple[RvecError, ...]"
    warnings: "tuple[Notice, ...]" = ()
    report: "PreflightReport | None" = None
    closeness: "Sequence[Closeness]" = ()

    @property
    def ok(self) -> bool:
        """Whether the recipe can be merged, as far as was seen."""
        return not self.errors


def check(
    recipe: "RecipeSource",
    out: str | Path | None = None,
    *,
    deep: Annotated[bool, Option("Read a sample of the weights: are donors related?")] = False,
    **options: Any,
) -> Check:
    """Check a recipe, and that ``out`` can be written, before a weight is read.

    Of models on the Hub, headers alone are read, unless ``deep`` fetches them.

    Args:
        recipe: a file, a bundled recipe's name, ``hf://REPO_ID[@revision]``, YAML text, or a dict.
        options: fields of ``Settings``.
    """
    from rvec_merge.errors import Notice, RvecError
    from rvec_merge.hub.recipes import fetch_models, open_recipe
    from rvec_merge.hub.remote import see
    from rvec_merge.merge.prepare import prepare
    from rvec_merge.preflight.deep import compare_weights

    (settings,) = sorted_into("check", options, Settings)
    out = None if out is None else Path(out)
    try:
        read = open_recipe(recipe)
    except RvecError as error:
        return Check((error,))
    report = prepare(read, out, settings, see).report
    if not deep or report.errors:
        return Check(report.errors, report.warnings, report)
    if fetch_models(read):
        report = prepare(read, out, settings, see).report
    if not report.tensors or report.errors:
        return Check(report.errors, report.warnings, report)
    closeness, found = compare_weights({m.reference: m for m in report.models}, report.tensors)
    return Check(
        tuple(f for f in found if isinstance(f, RvecError)),
        (*report.warnings, *(f for f in found if isinstance(f, Notice))),
        report,
        closeness,
    )


def merge(
    recipe: "RecipeSource",
    out: str | Path,
    settings: Settings | None = None,
    *,
    progress: "bool | BytesWatch" = False,
    **options: Any,
) -> "Outcome":
    """Merge a recipe into the new folder ``out``: mergekit's bits, all or nothing.

    Args:
        recipe: a file, a bundled recipe's name, ``hf://REPO_ID[@revision]``, YAML text, or a dict.
        settings: or its fields as keyword arguments.
        progress: True for a bar.

    Raises:
        RvecError: the recipe is refused, or the disk is full. Nothing is left at ``out``.
    """
    from rvec_merge.hub.recipes import open_recipe
    from rvec_merge.merge import run
    from rvec_merge.merge.prepare import fetch_inputs

    if settings is None:
        (settings,) = sorted_into("merge", options, Settings)
    elif options:
        raise TypeError("merge() takes settings, or their fields, not both")
    read = open_recipe(recipe)
    fetch_inputs(read, Path(out), settings)
    if not isinstance(progress, bool):
        return run.merge(read, out, settings, progress)
    with closing(Bar(progress)) as bar:
        return run.merge(read, out, settings, bar)


def verify(
    out: str | Path,
    *,
    recipe: "RecipeSource | None" = None,
    sample: Annotated[int | None, Option("Recompute so many tensors only.", least=1)] = None,
    seed: Annotated[int, Option("Of the sample.")] = 0,
) -> "Verification":
    """Recompute the merge ``out`` from its inputs, and compare every bit.

    Args:
        recipe: instead of the one recorded in ``out``.

    Returns:
        what differs; ``holds`` says whether nothing does.
    """
    from rvec_merge.hub.recipes import open_recipe
    from rvec_merge.merge import verify as room

    given = None if recipe is None else open_recipe(recipe)
    return room.verify(Path(out), recipe=given, sample=sample, seed=seed)
