"""Memory that is used again, never while somebody looks at it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rvec_merge.arithmetic.buffers import take
from rvec_merge.arithmetic.dtypes import FLOAT32, FLOAT64


def address(values: np.ndarray) -> int:
    return values.__array_interface__["data"][0]


def test_what_is_no_longer_used_is_given_out_again():
    first = take(12345, FLOAT32)
    place = address(first)
    del first
    assert address(take(12345, FLOAT32)) == place


def test_what_a_view_still_shows_is_not():
    first = take(54321, FLOAT32)
    first[:] = 1
    view = first[7:9].reshape(1, 2)
    del first
    second = take(54321, FLOAT32)
    second[:] = 2
    assert view.tolist() == [[1, 1]]


def test_sizes_and_dtypes_are_those_asked_for():
    assert [take(n, FLOAT64).size for n in (0, 1, 2, 1000)] == [0, 1, 2, 1000]
    assert take(3, FLOAT64).dtype == FLOAT64


def test_each_thread_has_its_own():
    place = address(take(777, FLOAT32))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: address(take(777, FLOAT32))).result() != place
