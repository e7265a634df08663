"""A merge, as far as it goes before a weight is read: what `rvec check` tells, and what follows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rvec_merge.errors import Problems, RecipeError
from rvec_merge.hub.recipes import fetch_models
from rvec_merge.hub.remote import hub_reference, see
from rvec_merge.merge.settings import Settings
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.merge_plan import MergePlan, NotStreamable, plan_merge
from rvec_merge.preflight import PreflightReport, examine, see_local
from rvec_merge.preflight.models import Resolver
from rvec_merge.recipe.read import Recipe


@dataclass(frozen=True)
class Prepared:
    """A recipe that was checked and planned.

    Attributes:
        report: what the checks and the planning found.
        plan: what is streamed; None where there is an error, or mergekit's executor is needed.
        reason: why mergekit's executor is needed; None where it is not.
    """

    report: PreflightReport
    plan: MergePlan | None = None
    reason: str | None = None


def prepare(
    recipe: Recipe, out: Path | None, settings: Settings, resolver: Resolver = see_local
) -> Prepared:
    """Check a recipe and plan its merge; what stands in the way is in the report.

    Of inputs that are not here yet, headers alone are seen and the values of buffers are not.
    """
    trusted = settings.trust_remote_code
    report = examine(
        recipe,
        out,
        allow_pickle=settings.allow_pickle,
        dequantize=settings.dequantize,
        trust_remote_code=trusted,
        overwrite=settings.overwrite,
        allowed=settings.allowed,
        resolver=resolver,
    )
    if report.errors or not report.tensors:
        return Prepared(report, reason="the inputs' tensors could not be seen")
    problems = Problems()
    with problems.noted():
        layers: dict[str, int] = {}
        if recipe.config.is_sliced:
            from rvec_merge.plan.by_mergekit import layer_counts

            layers = layer_counts(recipe, trusted)
        try:
            return Prepared(
                report, plan_merge(recipe, report.tensors, report.inputs, config=layers)
            )
        except NotStreamable as reason:
            _refuse_compact(report.models, str(reason))
            return Prepared(report, reason=str(reason))
    return Prepared(replace(report, errors=tuple(problems.errors)))


def fetch_inputs(recipe: Recipe, out: Path | None, settings: Settings) -> None:
    """Bring a recipe's repos into the Hub's cache, once their headers say that it can be merged.

    Raises:
        RvecError: the preflight refuses what the headers say, before any weight is fetched; or a
            download fails.
    """
    if any(hub_reference(reference) for reference in recipe.config.referenced_models()):
        prepare(recipe, out, settings, see).report.raise_errors()
        fetch_models(recipe)


def _refuse_compact(models: Iterable[Input], reason: str) -> None:
    """A compact vector's deltas are known to our executor alone.

    Raises:
        RecipeError: one is among the inputs.
    """
    compact = [model.name for model in models if model.compact]
    if compact:
        raise RecipeError(
            "mergekit's executor is needed, and cannot read a compact vector file.",
            [*compact, f"needed because {reason}"],
            "make it a dense one: rvec extract --vector VECTOR --format dense OUT.",
        )
