"""From pairs to arithmetic: the deltas of one tensor, made in one place for every path."""

from collections.abc import Hashable, Mapping
from typing import Any

from rvec_merge.arithmetic.controls import Control
from rvec_merge.arithmetic.kernel import Delta, Source
from rvec_merge.arithmetic.updates import without_common_base
from rvec_merge.recipe.pairs import pairs_of


def deltas(
    name: str,
    tensors: Mapping[Any, Source],
    target: Hashable,
    parameters: Mapping[str, Any],
) -> list[Delta]:
    """The deltas of one tensor, from its inputs and mergekit's resolved parameters.

    Args:
        name: the output tensor's name.
        tensors: every input by its id, the target's among them.
        target: the target's id.
        parameters: as resolved by mergekit: shared values, and mappings by id for per-donor ones.

    Raises:
        RecipeError: the donors do not form pairs (see ``form_pairs``).
    """
    kind = parameters["control"]
    made = []
    for pair in pairs_of(tensors, target, parameters, where=name):
        control = None if kind == "none" else Control(kind, parameters["seed"], name, pair.name)
        delta = Delta(
            plus=tensors[pair.grpo],
            minus=None if pair.sft is None else tensors[pair.sft],
            coefficient=parameters["scale"] * pair.weight,
            density=parameters["density"],
            control=control,
            plus_name=str(pair.grpo),
            minus_name=str(pair.sft),
        )
        made.append(without_common_base(delta))
    return made
