"""What need not be wrong: warnings of descent, dtypes, scales and rounding."""

from collections.abc import Callable

import pytest

from tests.preflight.conftest import Trio
from tests.preflight.mutations import adapter
from tests.preflight.told import Mutation, Warnings

INDEX = "model.safetensors.index.json"


def card(trio: Trio, name: str, base: str) -> None:
    (trio.folder(name) / "README.md").write_text(f"---\nbase_model: {base}\n---\n")


def widen(*names: str) -> Callable[[Trio], None]:
    def change(trio: Trio) -> None:
        for name in names:
            trio.edit_tensors(name, lambda t: t.update({k: v.float() for k, v in t.items()}))

    return change


def scale(trio: Trio, value: object, out_dtype: str = "float32") -> None:
    trio.recipe["parameters"]["scale"] = value
    trio.recipe["out_dtype"] = out_dtype


def adapted(trio: Trio) -> None:
    adapter(trio.root / "adapter", str(trio.folder("grpo")))
    trio.donor("grpo").update(model=f"{trio.folder('grpo')}+{trio.root}/adapter")


def swapped(trio: Trio) -> None:
    """Two slices, the second layer before the first, of models whose layers differ in kind."""
    for name in ("target", "grpo", "sft"):
        kinds = ["sliding_attention", "full_attention"]
        trio.edit_config(name, layer_types=kinds, use_sliding_window=True, sliding_window=8)
    inputs = [*trio.recipe.pop("models"), {"model": trio.recipe["base_model"]}]
    trio.recipe["slices"] = [
        {"sources": [{**i, "layer_range": part} for i in inputs]} for part in ([1, 2], [0, 1])
    ]


WARNINGS = {
    "no shared base": Mutation(
        lambda t: [card(t, name, "org/other") for name in ("grpo", "sft")],
        ("Donors and target share no stated base model.", "org/other", "--deep"),
    ),
    "mixed dtypes": Mutation(
        widen("grpo"), ("The inputs' dtypes differ.", "grpo: float32", "target: bfloat16")
    ),
    "dtype rounds float32 donors": Mutation(
        lambda t: (widen("target", "grpo", "sft")(t), t.recipe.update(dtype="bfloat16")),
        ("dtype: bfloat16 rounds wider inputs when they are read.", "Leave dtype out"),
    ),
    "scale in bfloat16": Mutation(
        lambda t: scale(t, 0.5, "bfloat16"),
        ("A scale other than 1 in bfloat16", "scale × weight: 0.5", "out_dtype: float32"),
    ),
    "weight in bfloat16": Mutation(
        lambda t: t.donor("grpo")["parameters"].update(weight=0.25), ("scale × weight: 0.25",)
    ),
    "gradient": Mutation(
        lambda t: scale(t, [0.0, 1.0]),
        ("A gradient of scale", "embeddings: 0", "final norm: 0"),
    ),
    "a gradient of another parameter": Mutation(
        lambda t: t.recipe["parameters"].update(density=[0.25, 0.5]),
        ("A gradient of density", "embeddings: 0.25", "final norm: 0.25"),
    ),
    "no out_dtype": Mutation(
        lambda t: t.recipe.pop("out_dtype"),
        ("The recipe gives no out_dtype: the merge is written in float32", "will say bfloat16"),
    ),
    "a model in a vector's place": Mutation(
        lambda t: (
            t.recipe["models"].pop(),
            t.donor("grpo").update(parameters={"role": "vector"}),
        ),
        ("Nothing says that an input of role: vector is a difference", "--deep"),
    ),
    "layers that change their kind": Mutation(
        swapped,
        ("layers of another kind", "layer 0 (sliding_attention) becomes layer 1 (full_attention)"),
    ),
    "a stale index": Mutation(
        lambda t: (t.folder("grpo") / "model.safetensors.index.json").write_text(
            '{"weight_map": {}}'
        ),
        (
            "A folder says twice what its weights are.",
            f"model.safetensors is read, {INDEX} is not",
        ),
    ),
}


class TestWarnings(Warnings):
    TABLE = WARNINGS


def test_a_donor_made_from_the_other_donor_shares_its_base(trio: Trio) -> None:
    card(trio, "grpo", str(trio.folder("sft")))
    assert "share no stated base" not in trio.check().output


NESTED = "".join(f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]\n" for i in range(1, 15))


@pytest.mark.parametrize(
    "front",
    [
        f"base_model: 0x{'f' * 5000}\n",
        "base_model: !!bool x\n",
        f"x0: &x0 [x, x]\n{NESTED}base_model: *x14\n",
    ],
    ids=["digits", "tag", "anchors"],
)
def test_a_card_that_states_no_plain_name_states_none(trio: Trio, front: str) -> None:
    (trio.folder("sft") / "README.md").write_text(f"---\n{front}---\n")
    result = trio.check()
    assert "Donors and target share no stated base model." in result.output
    assert "states none" in result.output
    assert len(result.output) < 5000
