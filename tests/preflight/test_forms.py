"""What is stored instead of weights: one error each, whatever else differs because of it."""

import pytest
import torch

from tests.preflight.conftest import Trio
from tests.preflight.mutations import LAYER, quantized, wrapped
from tests.preflight.told import Errors, Mutation

ERRORS = {
    "quantized": Mutation(
        lambda t: t.edit_config("target", quantization_config={"quant_method": "fp8"}),
        ("A model is quantized", "quant_method: fp8"),
    ),
    **{
        f"a wrapper's prefix, {prefix}": Mutation(
            wrapped(prefix), (f"26 of 26 tensors' names carry the prefix {prefix}", "target")
        )
        for prefix in ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "base_model.model.")
    },
    "a wrapper's prefix in one name": Mutation(
        lambda t: t.edit_tensors(
            "target",
            lambda x: x.update({"model._orig_mod.norm.weight": x.pop("model.norm.weight")}),
        ),
        ("1 of 26 tensors' names carry the prefix _orig_mod.", "torch.compile"),
    ),
    "weights that ZeRO-3 kept": Mutation(
        lambda t: t.edit_tensors("sft", lambda x: x.update({LAYER: torch.ones(0)})),
        ("1 of 26 tensors are empty.", f"{LAYER}  (0,)", "zero_to_fp32.py"),
    ),
    "GPTQ": Mutation(
        lambda t: quantized(t, {"quant_method": "gptq"}, qweight=torch.int32, qzeros=torch.int32),
        ("A model is quantized", "quant_method: gptq", "GPTQ or AWQ: "),
    ),
    "bitsandbytes": Mutation(
        lambda t: quantized(t, None, weight=torch.uint8, absmax=torch.float32),
        ("A model is quantized", "bitsandbytes: "),
    ),
    "FP8": Mutation(
        lambda t: quantized(t, None, weight=torch.float8_e4m3fn, weight_scale_inv=torch.float32),
        ("A model is quantized", "FP8: "),
    ),
    "FP8 without scales": Mutation(
        lambda t: quantized(t, None, weight=torch.float8_e5m2),
        ("A model is quantized", "FP8: ", "float8_e5m2"),
    ),
}


class TestErrors(Errors):
    TABLE = ERRORS


ONE_ERROR = (
    *(name for name in ERRORS if name.startswith(("a wrapper's", "FP8"))),
    "GPTQ",
    "bitsandbytes",
    "weights that ZeRO-3 kept",
)


@pytest.mark.parametrize("name", ONE_ERROR)
def test_what_is_no_weights_is_told_once(name: str, trio: Trio) -> None:
    ERRORS[name].spoil(trio)
    assert "recipe.yaml cannot be merged: 1 error.\n" in trio.check().output
