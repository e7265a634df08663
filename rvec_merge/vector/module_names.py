"""Where a tensor stands in a transformer: its layer and its module kind, from its name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A tensor's layer and kind.

    Attributes:
        layer: the first number in the name; None outside the layers.
        kind: the rest of the name, the same in every layer (``self_attn.q_proj``).
    """

    layer: int | None
    kind: str


def place(name: str) -> Place:
    """Read a tensor's place from its name.

    >>> place("model.layers.3.self_attn.q_proj.weight")
    Place(layer=3, kind='self_attn.q_proj')
    >>> place("model.layers.3.mlp.experts.17.up_proj.weight")
    Place(layer=3, kind='mlp.experts.*.up_proj')
    >>> place("model.embed_tokens.weight")
    Place(layer=None, kind='embed_tokens')
    """
    parts = name.removesuffix(".weight").split(".")
    number = next((i for i, part in enumerate(parts) if part.isdecimal()), None)
    if number is None:
        return Place(None, ".".join(parts[1:] if parts[0] == "model" and parts[1:] else parts))
    rest = ["*" if part.isdecimal() else part for part in parts[number + 1 :]]
    return Place(int(parts[number]), ".".join(rest))
