"""Errors of a recipe's text, before any input is looked at."""

from tests.preflight.conftest import Trio
from tests.preflight.mutations import repeat_a_key, sliced
from tests.preflight.told import Errors, Mutation

ERRORS = {
    "unknown key": Mutation(
        lambda t: t.recipe.update(out_dtyp="x"),
        ("Unknown key 'out_dtyp'", "did you mean 'out_dtype'?"),
    ),
    "key at the wrong level": Mutation(
        lambda t: t.donor("grpo").update(role="grpo"), ("Unknown key 'role'", "models[0]")
    ),
    "misspelt parameter": Mutation(
        lambda t: t.recipe.update(parameters={"scael": 1.0, "scale": 1.0}),
        ("Unknown parameter 'scael'", "did you mean 'scale'?"),
    ),
    "misspelt donor parameter": Mutation(
        lambda t: t.donor("grpo")["parameters"].update(wieght=1.0),
        ("Unknown parameter 'wieght'", "did you mean 'weight'?"),
    ),
    "scale at a donor": Mutation(
        lambda t: t.donor("grpo")["parameters"].update(scale=0.5),
        ("Parameter 'scale' stands at a donor",),
    ),
    "role above the donors": Mutation(
        lambda t: t.recipe["parameters"].update(role="grpo"),
        ("Parameter 'role' belongs to a donor",),
    ),
    "no scale": Mutation(lambda t: t.recipe.pop("parameters"), ("The recipe gives no scale.",)),
    "no role": Mutation(lambda t: t.donor("sft").pop("parameters"), ("A donor has no role",)),
    "unknown role": Mutation(
        lambda t: t.donor("sft").update(parameters={"role": "rlhf"}), ("unknown role 'rlhf'",)
    ),
    "clashing roles": Mutation(
        lambda t: t.donor("sft").update(parameters={"role": "grpo"}),
        ("Pair 'default' has two grpo donors",),
    ),
    "no twin": Mutation(lambda t: t.recipe["models"].pop(), ("Pair 'default' has no sft donor",)),
    "no target": Mutation(lambda t: t.recipe.pop("base_model"), ("The recipe names no target",)),
    "weight at sft": Mutation(
        lambda t: t.donor("sft")["parameters"].update(weight=0.5),
        ("A weight stands at the sft donor",),
    ),
    "a key twice": Mutation(
        repeat_a_key,
        ("The key 'out_dtype' is written twice.",),
    ),
    "an integer's dtype": Mutation(
        lambda t: t.recipe.update(out_dtype="int64"), ("Unknown out_dtype 'int64'",)
    ),
    "a dtype that config.json cannot hold": Mutation(
        lambda t: t.recipe.update(out_dtype="torch.float32"),
        ("Unknown out_dtype 'torch.float32'", "did you mean 'float32'?"),
    ),
    "an empty dtype": Mutation(lambda t: t.recipe.update(dtype=""), ("Unknown dtype ''",)),
    "no layers": Mutation(
        lambda t: sliced(t, 1, 1), ("A layer_range of slices[0] holds no layers.", "[1, 1]")
    ),
    "layers backwards": Mutation(lambda t: sliced(t, 2, 0), ("holds no layers.", "[2, 0]")),
    "layers from the end": Mutation(lambda t: sliced(t, -2, 2), ("holds no layers.", "[-2, 2]")),
}


class TestErrors(Errors):
    TABLE = ERRORS


def test_every_wrong_key_is_told_at_once(trio: Trio) -> None:
    trio.recipe["out_dtyp"] = "float32"
    trio.donor("sft")["rol"] = "sft"
    text = str(trio.check().exception)
    assert "Unknown key 'out_dtyp'" in text
    assert "Unknown key 'rol'" in text
