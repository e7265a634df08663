"""``rvec doctor``: what is installed, and whether mergekit sees the method."""

import click


@click.command()
def command() -> None:
    """Check versions, registration with mergekit, devices, the Hub and caches."""
