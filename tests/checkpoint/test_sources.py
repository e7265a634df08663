"""Sources made of others: rounded, joined, or some of their rows."""

import numpy as np
import pytest
import torch

from rvec_merge.arithmetic.tensors import array_of, numpy_dtype, tensor_of
from rvec_merge.checkpoint.sources import Cast, Joined, SomeRows


def test_a_cast_reads_what_the_source_holds_rounded():
    values = torch.randn(100)
    for dtype in (torch.bfloat16, torch.float16):  # from float64 by way of float32, as torch does
        for source in (values, values.double()):
            cast = Cast(array_of(source), numpy_dtype(dtype))
            assert torch.equal(tensor_of(cast[3:9]), source[3:9].to(dtype))
            assert (cast.size, cast.shape, cast.dtype) == (100, (100,), numpy_dtype(dtype))


def test_every_window_of_joined_tensors() -> None:
    parts = [np.arange(5.0), np.arange(5.0, 5.0), np.arange(5.0, 12.0)]
    for start, count in ((0, 12), (3, 6), (5, 7), (4, 1)):
        joined = Joined(parts, start, (count,))
        for low in range(count + 1):
            for high in range(low, count + 1):
                wanted = np.arange(start + low, start + high)
                assert joined[low:high].tolist() == wanted.tolist(), (start, low, high)


@pytest.mark.parametrize(("height", "rows"), [(5, 4), (3, 6)])
def test_every_window_of_some_rows(height: int, rows: int) -> None:
    """Of a source with more rows than the matrix, and of one with fewer."""
    values = torch.arange(1.0, 2 * height + 1).reshape(height, 2)
    whole = torch.zeros(rows, 2)
    whole[0], whole[2] = values[0], values[2]
    source = Joined([array_of(values.reshape(-1))], 0, (height, 2))
    found = SomeRows(source, ((0, 1), (2, 3)), rows)
    for low in range(found.size + 1):
        for high in range(low, found.size + 1):
            assert found[low:high].tolist() == whole.reshape(-1)[low:high].tolist()
