"""torch's tensors and numpy's arrays: one memory, seen from either side."""

import ml_dtypes
import numpy as np
import torch
from torch import Tensor

from rvec_merge.arithmetic.dtypes import BFLOAT16, Array, DType

# What numpy has by ml_dtypes alone, and the integers that torch can hand over instead.
_BY_BITS = {
    torch.bfloat16: (torch.int16, BFLOAT16),
    torch.float8_e4m3fn: (torch.uint8, np.dtype(ml_dtypes.float8_e4m3fn)),
    torch.float8_e5m2: (torch.uint8, np.dtype(ml_dtypes.float8_e5m2)),
}


def torch_dtype(dtype: DType) -> torch.dtype:
    """torch's dtype for numpy's."""
    found: torch.dtype = getattr(torch, dtype.name)
    return found


def numpy_dtype(dtype: torch.dtype) -> DType:
    """numpy's dtype for torch's."""
    return array_of(torch.empty(0, dtype=dtype)).dtype


def array_of(tensor: Tensor) -> Array:
    """A CPU tensor as an array over the same memory, in the same shape."""
    tensor = tensor.detach()
    if tensor.dtype in _BY_BITS:
        bits, dtype = _BY_BITS[tensor.dtype]
        return tensor.view(bits).numpy().view(dtype)
    array: Array = tensor.numpy()
    return array


def tensor_of(array: Array) -> Tensor:
    """An array of weights as a tensor over the same memory, which must be writable."""
    if array.dtype == BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
