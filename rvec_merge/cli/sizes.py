"""Sizes in bytes, as people write them."""

import re

import click

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click
    """``5GB``, ``500MB``, ``1000000``; decimal, as the Hub counts."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", value.strip(), re.IGNORECASE)
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is no size; write e.g. 5GB.", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])
