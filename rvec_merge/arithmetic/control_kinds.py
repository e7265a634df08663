"""The kinds of control, for whoever only names one: without torch."""

from typing import Literal, get_args

ControlKind = Literal["random", "permuted"]
CONTROL_KINDS: tuple[ControlKind, ...] = get_args(ControlKind)
