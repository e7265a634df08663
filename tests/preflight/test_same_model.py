"""One checkpoint under two names, however it is spelt, linked or hashed."""

from tests.preflight.conftest import Trio
from tests.preflight.mutations import link, recorded_hash, second_spelling
from tests.preflight.told import Errors, Mutation, Warnings

ERRORS = {
    "two spellings": Mutation(
        second_spelling, ("One checkpoint is listed under two names.", "a checkpoint minus itself")
    ),
    "one checkpoint twice": Mutation(
        lambda t: t.donor("grpo").update(model=str(t.folder("sft"))),
        ("One checkpoint is listed under two names.",),
    ),
    "linked weights": Mutation(link, ("One checkpoint is listed under two names.", "identical")),
    "one hash": Mutation(recorded_hash, ("One checkpoint is listed under two names.", "identical")),
    "target as grpo": Mutation(
        lambda t: t.recipe.update(base_model=f"{t.folder('grpo')}/."),
        ("The target is listed as a donor.", "the target has had this training already"),
    ),
    "target with a role": Mutation(
        lambda t: t.recipe.update(base_model=str(t.folder("grpo"))),
        ("The target is listed as a donor.",),
    ),
}


WARNINGS = {
    "the target as sft": Mutation(
        lambda t: t.recipe.update(base_model=str(t.folder("sft"))),
        ("this extrapolates its own training", "2404.16792"),
    ),
    "the target as sft, spelt otherwise": Mutation(
        lambda t: t.recipe.update(base_model=f"{t.folder('sft')}/."),
        ("this extrapolates its own training",),
    ),
}


class TestErrors(Errors):
    TABLE = ERRORS


class TestWarnings(Warnings):
    TABLE = WARNINGS


def test_two_names_of_one_hub_model_are_one(trio: Trio) -> None:
    trio.donor("grpo")["model"] = "Org/Model"
    trio.donor("sft")["model"] = "org/model@main"
    result = trio.check()
    assert "both are org/model on the Hub" in result.output
    assert "Some inputs are not here yet" in result.output
