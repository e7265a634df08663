"""Memory that is used again: fresh pages cost about as much as what is computed into them."""

import weakref
from collections import defaultdict
from threading import local

import numpy as np

from rvec_merge.arithmetic.dtypes import Array, DType

_MOST = 1 << 24  # bytes; a whole tensor is not kept
_thread = local()  # so that memory stays in the cache of the core that wrote it


def take(size: int, dtype: DType) -> Array:
    """``size`` elements, not initialised; given back when neither they nor a view is in use.

    Memory: of each thread as much as it ever used at once, by powers of two, in pieces of at most
    16 MiB.
    """
    nbytes = 1 << max(size * dtype.itemsize - 1, 0).bit_length()
    if nbytes > _MOST:
        return np.empty(size, dtype)
    if not hasattr(_thread, "free"):
        _thread.free = defaultdict[int, list[bytearray]](list)
    free = _thread.free[nbytes]
    try:
        memory = free.pop()
    except IndexError:
        memory = bytearray(nbytes)
    found = np.frombuffer(memory, dtype, size)
    weakref.finalize(found, free.append, memory)
    return found
