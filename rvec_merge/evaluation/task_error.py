"""The error of a task file or of the data it reads."""

from rvec_merge.errors import RvecError


class TaskError(RvecError):
    """A task file, or a data file that it reads, cannot be used as written."""
