"""Adapters that a recipe applies to a model, as far as their headers tell."""

import re
from collections.abc import Iterator
from pathlib import Path

from rvec_merge.checkpoint.header import TensorInfo, read_header
from rvec_merge.checkpoint.weight_files import ADAPTER_MARK
from rvec_merge.errors import CheckpointError, IncompatibleTensorsError, RvecError, shortened
from rvec_merge.plan.by_names import is_tied_head
from rvec_merge.preflight.models import Model

_FACTOR = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])\.weight$")


def check(model: Model) -> Iterator[RvecError]:
    """A folder after the + that holds no adapter, or one of another model.

    Adapters on the Hub are not looked at.
    """
    if model.reference.lora is None or not Path(model.reference.lora.path).is_dir():
        return
    folder = Path(model.reference.lora.path)
    weights = folder / "adapter_model.safetensors"
    if not ((folder / ADAPTER_MARK).is_file() and any(folder.glob("adapter_model.*"))):
        yield CheckpointError(
            "A folder after the + holds no adapter.",
            [model.name, f"{ADAPTER_MARK} and {weights.name} are not both there"],
            "correct the path after the +.",
        )
    elif weights.is_file() and model.tensors is not None:
        try:
            factors = read_header(weights)[0]
        except RvecError as error:
            yield error
            return
        if lines := list(_misfits(factors, model)):
            yield IncompatibleTensorsError(
                f"{len(lines)} of {len(factors)} tensors of an adapter fit no tensor of its model.",
                [model.name, *shortened(lines)],
                f"name the model that the adapter was trained on: {ADAPTER_MARK} says which.",
            )


def _misfits(factors: dict[str, TensorInfo], model: Model) -> Iterator[str]:
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    renamed = get_checkpoint_conversion_mapping(model.config.get("model_type"))
    for name, info in factors.items():
        factor = _FACTOR.match(name)
        if factor is None or len(info.shape) != 2:
            continue
        weight = (model.tensors or {}).get(f"{factor[1]}.weight")
        if weight is None:
            tied = is_tied_head(f"{factor[1]}.weight", model)
            if not (renamed or tied):  # else transformers' names are not those of the files
                yield f"{name}: the model has no {factor[1]}.weight"
        elif info.shape["BA".index(factor[2])] not in weight.shape:
            yield f"{name}  {info.shape}: the model's weight is {weight.shape}"
