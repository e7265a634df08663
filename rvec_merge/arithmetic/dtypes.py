"""The dtypes of weights, as numpy has them; bfloat16 and the 8-bit ones are those of ml_dtypes."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
DType: TypeAlias = np.dtype[Any]

BFLOAT16: DType = np.dtype(ml_dtypes.bfloat16)
FLOAT16: DType = np.dtype(np.float16)
FLOAT32: DType = np.dtype(np.float32)
FLOAT64: DType = np.dtype(np.float64)
FLOAT8: tuple[DType, ...] = (
    np.dtype(ml_dtypes.float8_e5m2),
    np.dtype(ml_dtypes.float8_e4m3fn),
)
Bits: TypeAlias = NDArray[np.uint32] | NDArray[np.uint64]
Bytes: TypeAlias = NDArray[np.uint8]
# What the bits of a difference are held in.
BITS: dict[DType, np.dtype[np.uint32] | np.dtype[np.uint64]] = {
    FLOAT32: np.dtype(np.uint32),
    FLOAT64: np.dtype(np.uint64),
}
SIXTEEN_BIT = (BFLOAT16, FLOAT16)
WEIGHTS = frozenset({*SIXTEEN_BIT, FLOAT32, FLOAT64})


def is_floating_point(dtype: DType) -> bool:
    """Whether a dtype holds fractions."""
    return dtype in WEIGHTS or dtype in FLOAT8


def is_weight(dtype: DType) -> bool:
    """Whether values of that dtype can be added; 8 bits mean nothing without their scales."""
    return dtype in WEIGHTS


def accumulation_dtype(dtypes: Iterable[DType]) -> DType:
    """float64 if any input is, else float32."""
    return FLOAT64 if FLOAT64 in dtypes else FLOAT32


def rounded(values: Array, dtype: DType) -> Array:
    """The values in another floating dtype; from float64 to 16 bits by way of float32, as torch.

    What overflows becomes infinite. Memory: the result's, unless ``values`` has the dtype already.
    """
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        # From bfloat16 to float64 too: the same values, and ten times as fast in ml_dtypes.
        if FLOAT64 in (values.dtype, dtype):
            values = values if FLOAT32 in (values.dtype, dtype) else values.astype(FLOAT32)
        return values.astype(dtype)


def bits_of(values: Array) -> NDArray[np.unsignedinteger[Any]]:
    """The values' bits as integers: -0.0 is not 0.0."""
    return values.view(f"u{values.dtype.itemsize}")
