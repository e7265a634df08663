"""A tensor's layer and kind, from its name."""

import pytest

from rvec_merge.vector.module_names import Place, place


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("model.layers.3.self_attn.q_proj.weight", 3, "self_attn.q_proj"),
        ("model.layers.3.mlp.experts.17.up_proj.weight", 3, "mlp.experts.*.up_proj"),
        ("model.embed_tokens.weight", None, "embed_tokens"),
        ("lm_head.weight", None, "lm_head"),
        ("transformer.h.11.attn.c_attn.bias", 11, "attn.c_attn.bias"),
        ("model.visual.blocks.0.norm1.weight", 0, "norm1"),
        ("model", None, "model"),
    ],
)
def test_the_same_kind_in_every_layer(name: str, layer: int | None, kind: str) -> None:
    assert place(name) == Place(layer, kind)
