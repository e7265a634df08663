"""The terminal that tables and bars are drawn on; strings are text there, never markup."""

from typing import Any

from rich.console import Console
from rich.text import Text

from rvec_merge.shown import shown


class PlainConsole(Console):
    """rich's console, on which no string can style, highlight, hide or move anything."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def render_str(  # type: ignore[override]
        self, text: str, *, style: Any = "", justify: Any = None, overflow: Any = None, **_: Any
    ) -> Text:
        return Text(shown(text), style=style, justify=justify, overflow=overflow)
