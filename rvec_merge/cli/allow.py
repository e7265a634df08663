"""``--allow``: differences between configs that are meant."""

import click

# preflight.configs.ALLOWABLE, which is not imported for a help text; a test compares the two.
SETTINGS = (
    "activation_function",
    "hidden_act",
    "hidden_activation",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "mlp_act",
    "norm_eps",
    "norm_epsilon",
    "num_experts_per_tok",
    "partial_rotary_factor",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "rotary_emb_base",
    "rotary_pct",
)

allow_option = click.option(
    "--allow",
    "allowed",
    multiple=True,
    type=click.Choice(SETTINGS),
    metavar="SETTING",
    help="Let the inputs' configs differ in it (rope_parameters, say); may be repeated.",
)
