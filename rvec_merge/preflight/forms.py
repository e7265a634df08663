"""Stored numbers that are no weights under their own names: quantized, wrapped, left out."""

import re
from collections.abc import Iterator

from rvec_merge.arithmetic.dtypes import is_floating_point, is_weight
from rvec_merge.checkpoint.dequantized import is_scaled
from rvec_merge.errors import CheckpointError, RvecError, shortened
from rvec_merge.plan.inputs import Input

# By the names of the tensors that the formats add.
_FORMATS = (
    ("bitsandbytes", re.compile(r"\.(absmax|quant_map|SCB|weight_format)$|\.quant_state\.")),
    ("GPTQ or AWQ", re.compile(r"\.(qweight|qzeros|g_idx)$")),
    ("compressed-tensors", re.compile(r"\.(weight_packed|weight_zero_point)$")),
    ("MXFP4", re.compile(r"_(blocks|scales)$")),
    ("FP8", re.compile(r"\.(weight_scale|weight_scale_inv|input_scale)$")),
)
_WRAPPERS = {
    "module.": "torch's DataParallel and DistributedDataParallel",
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "torch's FSDP",
    "base_model.model.": "PEFT",
}
_SAVE_INNER = (
    "save the model inside the wrapper: accelerator.unwrap_model(model).save_pretrained(OUT); for "
    "PEFT model.merge_and_unload().save_pretrained(OUT)."
)


def why_no_weights(
    model: Input, *, by_mergekit: bool, dequantize: bool = False
) -> RvecError | None:
    """The one error that says what an input's tensors are instead of its weights; None if plain.

    Args:
        by_mergekit: names must be those of mergekit's definitions; else a donor's wrapped names
            are paired with the target's, whose own are the output's and must be a model's.
        dequantize: FP8 weights may be read by their scales.
    """
    wrapped = _wrapped(model) if by_mergekit or model.label == "target" else ()
    return next(
        iter((*_quantized(model, dequantize and not by_mergekit), *wrapped, *_emptied(model))), None
    )


def _quantized(model: Input, dequantize: bool) -> Iterator[RvecError]:
    scaled = model.weights is not None and is_scaled(model.weights)
    if model.compact or (scaled and dequantize):
        return  # a compact vector's deltas are exact, whatever its donors were
    facts = []
    stated = model.config.get("quantization_config")
    if stated is not None:
        kind = stated.get("quant_method", "?") if isinstance(stated, dict) else "?"
        facts.append(f"quant_method: {kind}")
    if scaled:
        facts.append("FP8 with scales, one for each tensor, row or block")
    else:
        facts += _quantized_tensors(model)
    if facts:
        yield CheckpointError(
            "A model is quantized; its stored numbers are not its weights.",
            [model.name, *facts],
            "use the checkpoint in bfloat16, float16 or float32."
            if not scaled
            else "use the checkpoint in bfloat16, or --dequantize, which reads it as float32.",
        )


def _quantized_tensors(model: Input) -> Iterator[str]:
    tensors = model.tensors.values()
    if any(len(info.shape) > 1 and not is_weight(info.dtype) for info in tensors):
        for form, pattern in _FORMATS:
            added = next((info.name for info in tensors if pattern.search(info.name)), None)
            if added is not None:
                yield f"{form}: {added}"
                return
    for info in tensors:
        if is_floating_point(info.dtype) and not is_weight(info.dtype):
            yield f"FP8: {info.name} is {info.dtype}"
            return


def _wrapped(model: Input) -> Iterator[RvecError]:
    names = list(model.tensors)
    for prefix, wrapper in _WRAPPERS.items():
        # The wrappers of single modules stand in the middle; no model has parts named like those.
        carrying = [n for n in names if n.startswith(prefix) or (prefix[0] == "_" and prefix in n)]
        if carrying and (len(carrying) == len(names) or prefix[0] == "_"):
            yield CheckpointError(
                f"{len(carrying)} of {len(names)} tensors' names carry the prefix {prefix}",
                [model.name, f"{carrying[0]}: saved with the wrapper of {wrapper}"],
                _SAVE_INNER,
            )


def _emptied(model: Input) -> Iterator[RvecError]:
    tensors = model.tensors
    empty = [name for name, info in tensors.items() if info.shape == (0,)]
    if empty and not model.compact:
        yield CheckpointError(
            f"{len(empty)} of {len(tensors)} tensors are empty.",
            [model.name, *shortened([f"{name}  (0,)" for name in empty])],
            "DeepSpeed's ZeRO-3 leaves that where weights were saved without being gathered: set "
            "stage3_gather_16bit_weights_on_model_save, or consolidate its global_step* with "
            "zero_to_fp32.py.",
        )
