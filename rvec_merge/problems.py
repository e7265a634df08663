"""Problems gathered before they are told, so that a user sees all of them at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from rvec_merge.errors import RvecError, told


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
