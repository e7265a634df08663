"""Every check, in order, over one recipe; and those that two donors alone can be put to."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rvec_merge.checkpoint.weights import Weights
from rvec_merge.errors import Finding, Notice, OutputError, Problems, RvecError, combined
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.merge_plan import resolve, why_by_mergekit
from rvec_merge.plan.tensors import ResolvedTensor
from rvec_merge.preflight import (
    advice,
    configs,
    forms,
    plan,
    prompts,
    reading,
    same_model,
    tensors,
    tokenizers,
)
from rvec_merge.preflight.models import Resolver, see_local, see_models
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Reference

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreflightReport:
    """What a recipe would do, and what is suspicious about it.

    Attributes:
        models: the inputs that could be seen, the target first.
        errors: what stands in the way.
        warnings: what does not stand in the way.
        tensors: the resolved plan; empty where it cannot be made yet.
        facts: sizes and times of the plan; None where there is none.
    """

    models: tuple[Input, ...]
    errors: tuple[RvecError, ...]
    warnings: tuple[Notice, ...]
    tensors: tuple[ResolvedTensor, ...]
    facts: plan.PlanFacts | None

    @property
    def inputs(self) -> dict[Reference, Input]:
        """The models by reference."""
        return {model.reference: model for model in self.models}

    def raise_errors(self) -> None:
        """Raise what stands in the way, if anything does; several errors as one that lists them."""
        if self.errors:
            raise combined(self.errors)


def examine(
    recipe: Recipe,
    out: Path | None,
    *,
    allow_pickle: bool = False,
    dequantize: bool = False,
    trust_remote_code: bool = False,
    overwrite: bool = False,
    allowed: Collection[str] = (),
    resolver: Resolver = see_local,
    stock: bool = False,
) -> PreflightReport:
    """Check a recipe and its output path before a weight is read.

    Args:
        out: the output folder; None checks the inputs alone.
        dequantize: FP8 inputs may be read by their scales.
        allowed: settings in which the inputs' configs may differ; see ``configs.ALLOWABLE``.
        resolver: how an input is seen; None from it leaves that input unchecked, with a warning.
        stock: it is mergekit that merges, by a plan of its own.
    """
    models: dict[Reference, Input] = {}
    findings: list[Finding] = []
    for seen in see_models(recipe.config, resolver, allow_pickle):
        if isinstance(seen, Input):
            models[seen.reference] = seen
        else:
            findings.append(seen)
    visible = {reference: m for reference, m in models.items() if m.weights is not None}
    by_mergekit = stock or why_by_mergekit(recipe, visible) is not None
    odd = _odd(models, by_mergekit=by_mergekit, dequantize=dequantize)
    findings += odd.values()
    # What is no plain weight differs from the others in every way; that it is none says it all.
    plain = {r: m for r, m in models.items() if r not in odd}
    findings += same_model.check(recipe.config, models)
    findings += configs.check(
        recipe.config,
        models,
        by_mergekit=by_mergekit,
        trust_remote_code=trust_remote_code,
        allowed=allowed,
    )
    findings += tokenizers.check(recipe.config, models)
    findings += prompts.check(recipe.config, models)
    findings += advice.about_inputs(recipe.config, plain)
    resolved: list[ResolvedTensor] = []
    facts = None
    if not any(isinstance(finding, RvecError) for finding in findings):
        try:
            resolved = resolve(
                recipe, visible, by_mergekit=by_mergekit, trust_remote_code=trust_remote_code
            )
        except RvecError as error:
            findings.append(error)
    found = reading.reading(models, resolved)
    findings += tensors.check(recipe.config, plain, resolved, found, by_mergekit)
    if resolved:
        findings += plan.check_filters(recipe.config, resolved)
        findings += advice.about_plan(recipe.config, models, resolved)
        facts = plan.measure(recipe.config, models, resolved, found.rows)
    if out is not None:
        findings += _output_findings(out, models, facts, overwrite)
    return PreflightReport(
        tuple(models.values()),
        tuple(f for f in findings if isinstance(f, RvecError)),
        tuple(f for f in findings if isinstance(f, Notice)),
        tuple(resolved),
        facts,
    )


def check_alike(grpo: Weights, sft: Weights) -> None:
    """Refuse donors whose rows are other tokens', or whose weights are another model's.

    Settings in which they differ are logged.

    Raises:
        CheckpointError: a tokenizer or a config cannot be read.
        IncompatibleTensorsError: they differ in what no vector can carry.
    """
    first, other = (
        Input(cast("Any", c.root), c.root, c, label) for label, c in (("grpo", grpo), ("sft", sft))
    )
    found = [*tokenizers.compare([first, other])]
    if first.config and other.config and first.config != other.config:
        found += configs.compare(first, other, configs.ALLOWABLE)
    for notice in found:
        if isinstance(notice, Notice):
            LOG.warning("%s", notice)
    if errors := [finding for finding in found if isinstance(finding, RvecError)]:
        raise combined(errors)


def _odd(
    models: Mapping[Reference, Input], *, by_mergekit: bool, dequantize: bool
) -> dict[Reference, RvecError]:
    """The inputs that are no plain weights, and why not."""
    return {
        reference: error
        for reference, model in models.items()
        if (error := forms.why_no_weights(model, by_mergekit=by_mergekit, dequantize=dequantize))
    }


def _output_findings(
    out: Path,
    models: Mapping[Reference, Input],
    facts: plan.PlanFacts | None,
    overwrite: bool,
) -> Iterator[Finding]:
    from rvec_merge.files.atomic import check_output, check_space

    problems = Problems()
    with problems.noted():
        check_output(out, [model.folder for model in models.values()], overwrite=overwrite)
    with problems.noted():
        check_writable(out)
        if facts is not None:
            check_space(out, facts.output_bytes)
    yield from problems.errors


def check_writable(out: Path) -> None:
    """Refuse an output whose nearest existing parent is no folder that may be written to.

    Raises:
        OutputError: it is not.
    """
    import os

    parent = out.absolute().parent
    while not parent.exists() and not parent.is_symlink():
        parent = parent.parent
    if not parent.is_dir():
        raise OutputError(
            "The output cannot be written.",
            [f"{out}", f"{parent} is not a folder"],
            "name a folder you may write to.",
        )
    if not os.access(parent, os.W_OK) or _on_a_read_only_disk(parent):
        raise OutputError(
            "The output cannot be written.",
            [f"{out}", f"{parent} is read-only"],
            "name a folder you may write to.",
        )


def _on_a_read_only_disk(folder: Path) -> bool:
    import os

    # Windows has no statvfs; there the write says so itself.
    return hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
