"""``--allow``: differences between configs that are meant."""

import click

allow_option = click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="SETTING",
    help="Let the inputs' configs differ in it (rope_parameters, say); may be repeated.",
)
