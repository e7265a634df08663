"""The dtypes of safetensors files: their names there, and torch's."""

import torch

# In the order of the safetensors library, which writes the last ones first: so all are aligned.
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "F32": torch.float32,
    "F64": torch.float64,
    "I64": torch.int64,
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
_NAMED = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES.values()}


def dtype_named(name: str | None) -> torch.dtype | None:
    """The dtype that recipes and configs call so; None of nothing."""
    return None if name is None else _NAMED[name]
