"""The errors a user can mend, each in three parts: what, the facts, and the fix."""

from collections.abc import Iterable


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
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type["RvecError"], tuple[str, tuple[str, ...], str]]:
        return (type(self), (self.headline, self.facts, self.fix))


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


class EnvironmentProblem(RvecError):
    """Something this machine lacks: an optional package, a device, the network."""
