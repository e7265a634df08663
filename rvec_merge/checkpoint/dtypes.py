"""The dtypes of safetensors files: their names there, and numpy's."""

import numpy as np

from rvec_merge.arithmetic.dtypes import BFLOAT16, FLOAT8, FLOAT16, FLOAT32, FLOAT64, DType

# In the order of the safetensors library, which writes the last ones first: so all are aligned.
DTYPES: dict[str, DType] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "F8_E5M2": FLOAT8[0],
    "F8_E4M3": FLOAT8[1],
    "I16": np.dtype(np.int16),
    "F16": FLOAT16,
    "BF16": BFLOAT16,
    "I32": np.dtype(np.int32),
    "F32": FLOAT32,
    "F64": FLOAT64,
    "I64": np.dtype(np.int64),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
NAMED = {dtype.name: dtype for dtype in DTYPES.values()}


def dtype_named(name: str | None) -> DType | None:
    """The dtype that recipes and configs call so; None of nothing."""
    return None if name is None else NAMED[name]
