"""A resident model whose weights are recomputed in memory, with the bits a merge would write."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rvec_merge.checkpoint import Checkpoint, TensorInfo
from rvec_merge.errors import IncompatibleTensorsError, PlanError
from rvec_merge.evaluation.conditions import State
from rvec_merge.kernel import Delta, merge_tensor
from rvec_merge.method import deltas
from rvec_merge.preflight import local_folder
from rvec_merge.recipe import Recipe
from rvec_merge.resolve import ResolvedTensor, resolve


class ResidentWeights:
    """The parameters of a loaded model, and how to compute each state's from the checkpoints.

    Weights are always computed from the target, never stepped: in-place steps drift.

    Args:
        recipe: says what is added to what; its own scale is used as ``scaled`` says.
        model: the target, loaded in the precision that is evaluated.

    Raises:
        PlanError: the recipe has slices that reorder layers, or several pairs where donors are
            to be evaluated.
    """

    def __init__(self, recipe: Recipe, model: torch.nn.Module) -> None:
        self._plan = resolve(recipe)
        self._numeric = _plain_scale(recipe) is not None
        self._parameters = dict(model.named_parameters(remove_duplicate=False))
        references = {r for tensor in self._plan for r in tensor.inputs}
        self._checkpoints = {r: Checkpoint.open(_folder(r)) for r in references}
        self.state: State | None = None

    def become(self, state: State) -> None:
        """Give the model the weights of ``state``.

        Dtypes: accumulates as the kernel does and rounds once, to the parameters' dtype.
        Memory: nothing tensor-sized beyond the parameters; checkpoints are mapped, not loaded.
        """
        if state == self.state:
            return
        self.state = None  # a failure half-way leaves neither the old weights nor the new
        self._applied = self._squared = 0.0
        for tensor in self._plan:
            parameter = self._parameters.get(tensor.name)
            if parameter is None:
                continue  # a tied name: its twin is written
            self._write(parameter.data, tensor, state)
        self.state = state

    def _write(self, out: Tensor, tensor: ResolvedTensor, state: State) -> None:
        inputs = self._read(tensor)
        if state.kind in {"sft", "grpo"}:
            roles = tensor.parameters["role"]
            donor = next(r for r in inputs if r != tensor.target and roles[r] == state.kind)
            parts, base = [], inputs[donor]
        else:
            parts, base = self._deltas(tensor, inputs, state), inputs[tensor.target]
        if base.shape != out.shape:
            raise IncompatibleTensorsError(
                f"The model and the checkpoint disagree on {tensor.name}.",
                [f"model {tuple(out.shape)}", f"checkpoint {tuple(base.shape)}"],
                "evaluate checkpoints that transformers loads without changing their tensors.",
            )
        merged = merge_tensor(base, parts, out_dtype=out.dtype, name=tensor.name)
        if parts:
            self._project(
                base, merged, [replace(p, coefficient=p.coefficient / state.scale) for p in parts]
            )
        out.copy_(merged)

    @property
    def effective_scale(self) -> float | None:
        """Projection of the applied update on the vector (or control); None if none was applied."""
        return self._applied / self._squared if self._squared else None

    def _project(self, base: Tensor, merged: Tensor, vector: list[Delta]) -> None:
        zero = torch.zeros((), dtype=merged.dtype).expand(base.shape)
        direction = merge_tensor(zero, vector).flatten()
        update = (merged.to(direction.dtype) - base.to(direction.dtype)).flatten()
        self._applied += float(torch.dot(update, direction))
        self._squared += float(torch.dot(direction, direction))

    def _deltas(
        self, tensor: ResolvedTensor, inputs: Mapping[Any, Tensor], state: State
    ) -> list[Delta]:
        if state.kind == "target":
            return []
        own = 1.0 if self._numeric else tensor.parameters["scale"]
        control = state.kind if state.kind in {"random", "permuted"} else "none"
        parameters = {
            **tensor.parameters,
            "scale": own * state.scale,
            "control": control,
            "seed": state.seed,
        }
        return deltas(tensor.name, inputs, tensor.target, parameters)

    def _read(self, tensor: ResolvedTensor) -> dict[Any, Tensor]:
        found = {}
        for reference, wanted in tensor.inputs.items():
            infos = self._checkpoints[reference].tensors
            name = next((n for n in wanted.names if n in infos), None)
            if name is not None:
                value = map_tensor(infos[name])
                found[reference] = value.to(getattr(torch, wanted.dtype)) if wanted.dtype else value
        return found


def map_tensor(info: TensorInfo) -> Tensor:
    """One tensor of a checkpoint, mapped: its bytes are read when they are used.

    Writing to it changes a private copy, never the file.
    """
    if info.nbytes == 0:
        return torch.empty(info.shape, dtype=info.dtype)
    mapped = np.memmap(info.path, np.uint8, "c", info.start, (info.nbytes,))
    return torch.from_numpy(mapped).view(info.dtype).reshape(info.shape)


def _plain_scale(recipe: Recipe) -> float | None:
    scale = (recipe.config.parameters or {}).get("scale")
    return float(scale) if isinstance(scale, int | float) else None


def _folder(reference: Any) -> Path:
    folder = local_folder(reference)
    if folder is None:
        raise PlanError(
            "An input of the recipe is no local folder.",
            [f"{reference}"],
            "download it first: hf download, or run the merge once.",
        )
    return folder
