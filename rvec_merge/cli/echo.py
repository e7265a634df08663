"""How the verbs print a line: everything from outside passes through ``shown``."""

import click

from rvec_merge.shown import shown


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text, or JSON; to stderr with ``err``."""
    click.echo(shown(text), err=err, nl=nl)
