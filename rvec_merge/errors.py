"""The errors a user can mend, each in three parts: what, the facts, and the fix; and warnings.

Problems are gathered before they are told, so that a user sees all of them at once.
"""

import errno
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from rvec_merge.shown import shown

_LISTED = 8
_SAID = 24  # lines of another library's message: a traceback's worth, cut in the middle
_ERRNO = re.compile(r"\[Errno -?\d+\] ")
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class RvecError(Exception):
    """A mistake the user can mend; the CLI prints it without a traceback and exits with 1.

    Args:
        headline: one sentence that says what is wrong.
        facts: lines that show it; printed indented, in order.
        fix: one sentence that says what to do.
    """

    def __init__(self, headline: str, facts: Iterable[str] = (), fix: str = "") -> None:
        self.headline = headline
        self.facts = tuple(facts)
        self.fix = fix
        lines = [headline, *(f"  {fact}" for fact in self.facts)]
        if fix:
            lines.append(f"Fix: {fix}")
        super().__init__(told(lines))

    def __reduce__(self) -> tuple[type["RvecError"], tuple[str, tuple[str, ...], str]]:
        return (type(self), (self.headline, self.facts, self.fix))


def told(lines: Iterable[str]) -> str:
    """Lines as a message. One that holds a line break (names may) goes on indented: it cannot
    pass for the next part."""
    return "\n".join(shown(line).replace("\n", "\n    ") for line in lines)


def why(error: BaseException) -> str:
    """What an error that is not ours says, in one line and without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return _ERRNO.sub("", said)[:300]


def system_error(error: OSError) -> RvecError:
    """What the system refused, wherever it did."""
    facts = [str(name) for name in (error.filename, error.filename2) if name is not None]
    if error.errno in DISK_FULL:
        return OutputError(
            "The disk is full.", [*facts, why(error)], "make room, or write to another disk."
        )
    return EnvironmentProblem(
        "The system refuses a file or a connection.",
        [*facts, why(error)],
        "make it readable, or the folder writable; or name another.",
    )


class RecipeError(RvecError):
    """A recipe says something that cannot be meant: a key, a role, a pair, a scale."""


class CheckpointError(RvecError):
    """A checkpoint on disk is missing, malformed, or not safe to read."""


class IncompatibleTensorsError(RvecError):
    """Inputs of one tensor differ in shape, or are not floating point."""


class NonFiniteError(RvecError):
    """An input, or the result, holds NaN or Inf."""


class OutputError(RvecError):
    """The output path cannot be written to as asked."""


class PlanError(RvecError):
    """An experiment plan asks for something that cannot be run or reported honestly."""


class ResultsError(RvecError):
    """Results on disk are missing, of another version, or cannot be compared."""


class TaskError(RvecError):
    """A task file, or a data file that it reads, cannot be used as written."""


class EnvironmentProblem(RvecError):
    """Something this machine lacks: an optional package, a device, the network."""


@dataclass(frozen=True)
class Notice:
    """A warning: what is suspicious, the facts that show it, and what to do about it."""

    headline: str
    facts: tuple[str, ...] = ()
    advice: str = ""

    def __str__(self) -> str:
        lines = [self.headline, *(f"  {fact}" for fact in self.facts)]
        return told([*lines, self.advice] if self.advice else lines)


Finding: TypeAlias = RvecError | Notice


class Problems:
    """Errors met so far."""

    def __init__(self) -> None:
        self.errors: list[RvecError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an ``RvecError`` raised in the body, and go on after it."""
        try:
            yield
        except RvecError as error:
            self.errors.append(error)

    def raise_all(self) -> None:
        """Raise what was noted, if anything was."""
        if self.errors:
            raise combined(self.errors)


def combined(errors: Sequence[RvecError]) -> RvecError:
    """One error for several: of their class where they share it; a single one stays itself."""
    if len(errors) == 1:
        return errors[0]
    (first, *others) = {type(error) for error in errors}
    facts = []
    for number, error in enumerate(errors, 1):
        first_line, *rest = str(error).splitlines()
        facts += [f"{number}. {first_line}", *(f"   {line}" for line in rest)]
    kind = RvecError if others else first
    return kind(f"There are {len(errors)} problems.", facts, "mend each of them, as said above.")


def shortened(lines: Sequence[str]) -> list[str]:
    """The first lines of a list too long to be read as facts, and how many more there are."""
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return [*lines[:_LISTED], *more]


def said_by(error: Exception) -> list[str]:
    """Another library's message as facts, to its last line, which is where it says why."""
    said = f"KeyError: {error}" if isinstance(error, KeyError) else str(error)
    said = _ERRNO.sub("", said)
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    if len(lines) > _SAID:
        lines = [*lines[: _SAID // 2], "…", *lines[-_SAID // 2 :]]
    return lines or [type(error).__name__]
