"""How the verbs print a line: everything from outside passes through ``shown``."""

import json
from typing import Any

import click

from rvec_merge.shown import shown


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text; to stderr with ``err``."""
    click.echo(shown(text), err=err, nl=nl)


def echo_json(value: Any) -> None:
    """Print what a program reads."""
    echo(json.dumps(value, indent=2, ensure_ascii=False))
