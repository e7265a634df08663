"""What a stock ``mergekit-yaml`` run is planning, seen from inside its call to the method.

mergekit gives a method its input ids and nothing else, although the mistakes worth refusing stand
in the recipe. While mergekit plans, the recipe is in its callers' frames, and this reads it there.
Where those frames look different (another mergekit, another caller), it sees nothing, and the
checks that need it are simply not made.

What a plan is checked for is not known here: who checks adds itself to ``CHECKS``.
"""

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from rvec_merge import mergekit_plugin

if TYPE_CHECKING:
    from mergekit.config import MergeConfiguration

_FRAMES = 12  # run_merge is five frames above validate_inputs in mergekit 0.1.5
_own_plan = ContextVar("own_plan", default=False)


@dataclass(frozen=True)
class StockRun:
    """A stock mergekit run: its parsed recipe, the recipe's text if known, and its output path."""

    config: "MergeConfiguration"
    text: str | None
    out_path: str


# Each is given the input ids of one tensor, the target's among them, and the run, if it is seen.
CHECKS: list[Callable[[Sequence[Hashable], Hashable, StockRun | None], None]] = []


def check_inputs(input_ids: Sequence[Hashable], target: Hashable) -> None:
    """Have what mergekit plans checked, unless it plans at our own request.

    Raises:
        RvecError: what the checks find.
    """
    if _own_plan.get():
        return  # who asked for it checks more
    # The checks stand above this room, and add themselves when they are imported. Here, not with
    # the plugin: whoever imports mergekit without merging should not wait for them.
    import_module(mergekit_plugin.stock_checks)
    run = stock_run()
    for check in CHECKS:
        check(input_ids, target, run)


def stock_run() -> StockRun | None:
    """The ``mergekit.merge.run_merge`` call above us, if there is one."""
    frame = sys._getframe(1)
    for _ in range(_FRAMES):
        if frame.f_code.co_name == "run_merge" and frame.f_globals["__name__"] == "mergekit.merge":
            seen = frame.f_locals
            return StockRun(seen["merge_config"], seen.get("config_source"), seen["out_path"])
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


@contextmanager
def own_plan() -> Iterator[None]:
    """While it is open, mergekit plans at our own request, and nothing is checked here."""
    token = _own_plan.set(True)
    try:
        yield
    finally:
        _own_plan.reset(token)
