"""The options that several verbs take, declared once."""

from collections.abc import Callable
from typing import Any

import click

allow_option = click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="SETTING",
    help="Let the inputs' configs differ in it (rope_parameters, say); may be repeated.",
)
allow_pickle_option = click.option(
    "--allow-pickle", is_flag=True, help="Accept pickled inputs, tensors alone."
)
trust_remote_code_option = click.option(
    "--trust-remote-code", is_flag=True, help="Run code that a model brings along."
)


def device_option(default: str) -> Callable[[Any], Any]:
    """``--device``, with a verb's own default."""
    said = "cpu, cuda, cuda:1, …, or auto: cuda where there is one."
    return click.option("--device", default=default, show_default=True, help=said)
