"""The mask of a ``density``: mergekit's own, so that a recipe means the same on every path."""

from torch import Tensor


def largest(values: Tensor, density: float) -> Tensor:
    """The share ``density`` of the values that is largest in magnitude; zero in the others' place.

    Shapes: ``(n,)`` in and out.
    """
    from mergekit.sparsify import SparsificationMethod, sparsify

    kept: Tensor = sparsify(values, density=density, method=SparsificationMethod.magnitude)
    return kept
