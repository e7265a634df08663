"""Where one checkpoint stores another's tensors: by name, renamed, or in another form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod

from rvec_merge.arithmetic.kernel import Source
from rvec_merge.checkpoint.info import TensorInfo
from rvec_merge.checkpoint.sources import Joined


@dataclass(frozen=True)
class Run:
    """A tensor that an input stores within another, or as several.

    Attributes:
        names: the stored tensors, of one dtype, whose elements follow on one another.
        start: its first element among theirs.
        shape: its shape.
    """

    names: tuple[str, ...]
    start: int
    shape: tuple[int, ...]

    def find(self, tensors: Mapping[str, TensorInfo]) -> TensorInfo | None:
        """What a header would say of it; of several tensors it says the first one's file."""
        if not all(name in tensors for name in self.names):
            return None
        first = tensors[self.names[0]]
        size = first.dtype.itemsize
        one = len(self.names) == 1 and first.start >= 0
        start = first.start + self.start * size if one else -1
        return replace(first, shape=self.shape, start=start, nbytes=prod(self.shape) * size)

    def read(self, source: Callable[[str], Source]) -> Source:
        """The tensor, for one thread to read.

        Args:
            source: gives a stored tensor by its name.
        """
        found = [source(name) for name in self.names]
        whole = len(found) == 1 and self.start == 0 and found[0].size == prod(self.shape)
        return found[0] if whole else Joined(found, self.start, self.shape)
