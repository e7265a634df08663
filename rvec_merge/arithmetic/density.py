"""The mask of a ``density``: mergekit's own, so that a recipe means the same on every path."""

from rvec_merge.arithmetic.dtypes import Array


def largest(values: Array, density: float) -> Array:
    """The share ``density`` of the values that is largest in magnitude; zero in the others' place.

    Shapes: ``(n,)`` in and out.
    """
    from mergekit.sparsify import SparsificationMethod, sparsify

    from rvec_merge.arithmetic.tensors import array_of, tensor_of

    method = SparsificationMethod.magnitude
    return array_of(sparsify(tensor_of(values), density=density, method=method))
