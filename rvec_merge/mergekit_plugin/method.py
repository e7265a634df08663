"""The mergekit adapter: ``merge_method: reasoning_vector``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from mergekit.merge_methods.base import (
    MISSING,
    BasePolicy,
    BatchOptions,
    GroupMergeMethod,
    InputContract,
    MergeMethodSpec,
    ParameterScope,
    ParameterSpec,
    TensorGroup,
)

from rvec_merge.arithmetic.threads import one_thread_each
from rvec_merge.errors import RecipeError
from rvec_merge.mergekit_plugin.stock_run import check_inputs, stock_run
from rvec_merge.recipe import parameters as known
from rvec_merge.recipe.config import METHOD
from rvec_merge.recipe.deltas import deltas


class _Parameter(ParameterSpec):
    """A parameter that says in three parts what is wrong with its value, while mergekit plans."""

    # A required parameter that is missing reaches `validate` too, instead of mergekit's own error.
    required = False

    def validate(self, value: Any) -> Any:
        (ours,) = (parameter for parameter in known.PARAMETERS if parameter.name == self.name)
        return ours.validate(known.MISSING if value is MISSING else value)


def _spec(ours: known.Parameter) -> ParameterSpec:
    scope = ParameterScope.INPUT if ours.per_donor else ParameterScope.SHARED
    default = MISSING if ours.default is known.MISSING else ours.default
    return _Parameter(ours.name, ours.kind, scope, default)


class ReasoningVectorMethod(GroupMergeMethod):
    """``target + Σ scale · weight · mask(grpo − sft)``, as a mergekit merge method.

    Dtypes: returns float32 (float64 if an input is float64), unless the caller asks for another;
        mergekit then rounds once to the recipe's ``out_dtype``. A recipe without ``out_dtype``
        writes float32: mergekit tells a method nothing about the output, and rounding to the
        inputs' dtype first would lose most of a bf16 update at a scale other than ±1.

    Source: arXiv:2509.01363; task arithmetic, arXiv:2212.04089.
    """

    spec = MergeMethodSpec(
        name=METHOD,
        pretty_name="Reasoning Vector",
        reference_url="https://arxiv.org/abs/2509.01363",
        contract=InputContract(base=BasePolicy.REQUIRED),
        parameters=tuple(_spec(parameter) for parameter in known.PARAMETERS),
    )

    def validate_inputs(
        self,
        input_ids: Sequence[Hashable],
        base_id: Hashable | None = None,
        *,
        group_name: str | None = None,
    ) -> None:
        """Refuse impossible inputs; mergekit calls this while planning, before it reads a tensor.

        Raises:
            RecipeError: there is no target, or no donor.
            RvecError: what ``preflight.stock`` finds in the run, or in checkpoints.
        """
        where = f" for {group_name}" if group_name else ""
        if base_id is None:
            raise RecipeError(
                f"The recipe names no target{where}.",
                ["base_model is missing"],
                "add base_model: the model that receives the vector.",
            )
        if base_id not in input_ids:
            raise RecipeError(
                f"The target lacks a tensor that a donor has{where}.",
                [f"target: {base_id}", f"present in: {', '.join(map(str, input_ids))}"],
                "use a target and donors of one architecture, all with or all without tied "
                "embeddings.",
            )
        check_inputs(input_ids, base_id)

    def merge_group(self, group: TensorGroup, /, **parameters: Any) -> torch.Tensor:
        return self._merge(group, parameters, out_dtype=None)

    def _execute(
        self,
        groups: Sequence[TensorGroup],
        parameters: list[dict[str, Any]],
        options: BatchOptions,
        *,
        input_dtypes: Sequence[torch.dtype | None],
        out_dtype: torch.dtype | None = None,
    ) -> tuple[torch.Tensor, ...]:
        # mergekit's own loop would first copy every input to the widest dtype among them.
        return tuple(
            self._merge(_narrowed(group, dtype), kwargs, out_dtype or _written_dtype(group))
            for group, kwargs, dtype in zip(groups, parameters, input_dtypes, strict=True)
        )

    def _merge(
        self, group: TensorGroup, parameters: Mapping[str, Any], out_dtype: torch.dtype | None
    ) -> torch.Tensor:
        name = group.metadata.name or "tensor"
        if group.base is None:
            raise RecipeError(
                f"{name} has no target tensor.", [], "mark one input as the base (base_model)."
            )
        # Here, since a stock run of another method needs no compiler.
        from rvec_merge.arithmetic.merge_tensor import merge_tensor

        tensors = {entry.id: entry.tensor for entry in group.entries}
        with one_thread_each() as threads:
            return merge_tensor(
                group.base.tensor,
                deltas(name, tensors, group.base.id, parameters),
                out_dtype=out_dtype,
                threads=threads if group.base.tensor.device.type == "cpu" else 1,
                name=name,
                target_name=str(group.base.id),
            )


def _written_dtype(group: TensorGroup) -> torch.dtype | None:
    """The dtype a stock run is going to round this tensor to, where that is certain; else None.

    Rounding to it here gives the same bits and saves a float32 copy of the tensor. It is certain
    only where all inputs have that dtype: an architecture may force another on single tensors,
    and then mergekit reads them in it too.
    """
    from mergekit.common import dtype_from_name

    run = stock_run()
    dtype: torch.dtype | None = dtype_from_name(run.config.out_dtype) if run else None
    return dtype if all(entry.tensor.dtype == dtype for entry in group.entries) else None


def _narrowed(group: TensorGroup, dtype: torch.dtype | None) -> TensorGroup:
    """The group with tensors wider than ``dtype`` rounded to it; the group itself if none is."""
    if dtype is None or all(
        torch.promote_types(entry.tensor.dtype, dtype) == dtype for entry in group.entries
    ):
        return group
    from mergekit.merge_methods.dtype import align_dtype

    return align_dtype(group, dtype)


reasoning_vector = ReasoningVectorMethod()


def register(registry: ModuleType) -> None:
    """Make the method available in mergekit's ``registry``. Idempotent."""
    if all(m.spec.name != reasoning_vector.spec.name for m in registry.registered_methods()):
        registry.register(reasoning_vector)


register(import_module("mergekit.merge_methods.registry"))
