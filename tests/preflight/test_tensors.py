"""Tensors that are missing, extra, of another shape, or tied otherwise."""

import torch

from tests.preflight.mutations import LAYER, padded, sliced, untie
from tests.preflight.told import Errors, Mutation, Warnings

ERRORS = {
    "missing in a donor": Mutation(
        lambda t: t.edit_tensors("sft", lambda x: x.pop(LAYER)),
        ("1 of 26 tensors are not in every input.", f"{LAYER}  missing in sft"),
    ),
    "missing in the target": Mutation(
        lambda t: t.edit_tensors("target", lambda x: x.pop(LAYER)), (f"{LAYER}  missing in target",)
    ),
    "extra": Mutation(
        lambda t: t.edit_tensors("grpo", lambda x: x.update({"value_head.weight": torch.ones(2)})),
        ("value_head.weight", "architecture"),  # in other words where mergekit plans
    ),
    "shape": Mutation(
        lambda t: t.edit_tensors("sft", lambda x: x.update({LAYER: torch.ones(3, 3)})),
        (f"{LAYER}  (48, 32) and (3, 3)", "one architecture and size"),
    ),
    "padded vocabulary": Mutation(
        padded,
        ("model.embed_tokens.weight  (64, 32) and (72, 32)", "tokenizer: {source: base}"),
    ),
    "donors untied": Mutation(
        untie("grpo", "sft"),
        ("Some inputs tie their embeddings and some do not.", "untied, with lm_head.weight"),
    ),
    "target untied": Mutation(
        untie("target"), ("Some inputs tie their embeddings", "tied, without lm_head.weight")
    ),
    "untied without a head": Mutation(
        lambda t: (
            untie("target", "grpo", "sft")(t),
            t.edit_tensors("sft", lambda x: x.pop("lm_head.weight")),
        ),
        ("An untied model has no lm_head.weight.",),
    ),
    "layers beyond the last": Mutation(
        lambda t: sliced(t, 0, 3), ("The slices name 12 tensors that no input stores.", "layers.2.")
    ),
    "untied, and no head anywhere": Mutation(
        lambda t: [t.edit_config(n, tie_word_embeddings=False) for n in ("target", "grpo", "sft")],
        ("An untied model has no lm_head.weight.", "grpo", "untied, without"),
    ),
}


WARNINGS = {
    "a tied head that is stored": Mutation(
        lambda t: t.edit_tensors(
            "grpo", lambda x: x.update({"lm_head.weight": x["model.embed_tokens.weight"].clone()})
        ),
        (
            "Some inputs store lm_head.weight although it is tied",
            "takes a stored head that differs",
        ),
    ),
}


class TestErrors(Errors):
    TABLE = ERRORS


class TestWarnings(Warnings):
    TABLE = WARNINGS
