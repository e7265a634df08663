"""Roles and pairs."""

from rvec_merge.recipe.pairs import Donor, form_pairs


def test_vectors_without_names_get_names_of_their_own():
    donors = [
        Donor("a", "vector"),
        Donor("b", "vector"),
        Donor("g", "grpo"),
        Donor("s", "sft"),
        Donor("c", "vector", "mine"),
    ]
    names = {pair.grpo: pair.name for pair in form_pairs(donors)}
    assert names == {"a": "default 2", "b": "default 3", "g": "default", "c": "mine"}
    (only,) = form_pairs(donors[:1])
    assert only.name == "default"
