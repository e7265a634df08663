"""What `rvec check` tells of a plan: its filters, its sizes, its slices."""

import json

from tests.preflight.conftest import Trio
from tests.preflight.mutations import (
    scale,
)
from tests.preflight.test_scales import rows
from tests.preflight.told import Errors, Mutation

ERRORS = {
    "a filter that matches nothing": Mutation(
        lambda t: scale(t, [{"filter": "self_atn", "value": 1.0}, {"value": 0.0}]),
        ("A filter of scale matches no tensor.", "filter: self_atn", "did you mean 'self_attn'?"),
    ),
    "a module that the architecture lacks": Mutation(
        lambda t: t.recipe.update(modules={"vision": {"models": t.recipe.pop("models")}}),
        ("mergekit cannot plan this recipe.", "KeyError: 'vision'"),
        stock=False,  # mergekit's own words
    ),
}


class TestErrors(Errors):
    TABLE = ERRORS


def test_sizes_are_those_of_the_merge(trio: Trio) -> None:
    plan = json.loads(trio.check("--json").output)["plan"]
    trio.merge_stock()
    data = (trio.out / "model.safetensors").read_bytes()
    written = len(data) - 8 - int.from_bytes(data[:8], "little")
    assert plan["output_bytes"] == written
    assert plan["input_bytes"] == 3 * written
    assert (plan["tensors"], plan["dtypes"]) == (26, ["bfloat16"])


def test_slices_are_planned_and_checked(trio: Trio) -> None:
    def sources(first: int, last: int) -> list[dict]:
        return [
            {"model": m["model"], "layer_range": [first, last], "parameters": m["parameters"]}
            for m in trio.recipe["models"]
        ] + [{"model": trio.recipe["base_model"], "layer_range": [first, last]}]

    slices = [{"sources": sources(0, 1)}, {"sources": sources(1, 2)}]
    slices[1]["parameters"] = {"scale": 0.5}
    trio.recipe = {k: v for k, v in trio.recipe.items() if k != "models"} | {"slices": slices}
    found = rows(trio)
    assert found["layer 0"]["mlp"] == [1.0]
    assert found["layer 1"]["mlp"] == [0.5]
    trio.edit_tensors("sft", lambda t: t.pop("model.layers.1.mlp.up_proj.weight"))
    assert "model.layers.1.mlp.up_proj.weight  missing in sft" in trio.check().output
