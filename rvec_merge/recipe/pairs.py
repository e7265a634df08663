"""Which inputs form which vector: roles and pairs, checked in one place for every path."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from rvec_merge.errors import RecipeError

Role = Literal["grpo", "sft", "vector"]
ROLES: tuple[str, ...] = get_args(Role)
_ROLE_FIX = "give each donor parameters: {role: grpo} or {role: sft} (or vector)."


@dataclass(frozen=True)
class Donor:
    """One donor of a recipe, as its ``parameters`` declare it.

    Attributes:
        id: what the input is called in the plan; shown in errors.
        role: ``grpo``, ``sft`` or ``vector``; None if the recipe gives none.
        pair: the pair it belongs to.
        weight: the pair's own multiplier; None where the recipe gives none (1.0).
    """

    id: Hashable
    role: str | None
    pair: str = "default"
    weight: float | None = None


@dataclass(frozen=True)
class Pair:
    """A vector's inputs: a ``grpo`` and an ``sft`` donor, or one ``vector`` (``sft`` is None)."""

    name: str
    grpo: Hashable
    sft: Hashable | None
    weight: float


def pairs_of(
    inputs: Iterable[Hashable], target: Hashable, parameters: Mapping[str, Any], *, where: str
) -> list[Pair]:
    """The pairs among the inputs of one tensor; the target is a donor where it is its own sft.

    Raises:
        RecipeError: the donors do not form pairs (see ``form_pairs``).
    """
    donors = [
        Donor(i, parameters["role"][i], parameters["pair"][i], parameters["weight"][i])
        for i in inputs
        if i != target or parameters["role"].get(i) == "sft"
    ]
    return form_pairs(donors, where=where, target=target)


def form_pairs(donors: Sequence[Donor], *, where: str = "", target: Hashable = None) -> list[Pair]:
    """Group donors into pairs, in the order in which each pair first appears.

    Args:
        where: the tensor or slice that errors name, if any.
        target: named in the hint when a twin is missing because the target was given its role.

    A vector whose pair's name is taken gets a number: ``default 2``.

    Raises:
        RecipeError: a role is missing or unknown, two donors share a role in a pair, a pair lacks
            its twin, or a weight stands at an ``sft`` donor.
    """
    at = f" for {where}" if where else ""
    groups: dict[tuple[str, bool], dict[str, Donor]] = {}
    for donor in donors:
        if donor.role not in ROLES:
            said = "has no role" if donor.role is None else f"has the unknown role {donor.role!r}"
            facts = [f"{donor.id}", f"roles are {', '.join(ROLES)}"]
            raise RecipeError(f"A donor {said}{at}.", facts, _ROLE_FIX)
        if donor.role == "sft" and donor.weight is not None:
            raise RecipeError(
                f"A weight stands at the sft donor of pair {donor.pair!r}{at}.",
                [f"{donor.id}: weight {donor.weight}"],
                "move it to the pair's grpo donor; it multiplies the difference.",
            )
        # Vectors do not pair: each is its own group, under its own key.
        key = (str(donor.id), True) if donor.role == "vector" else (donor.pair, False)
        group = groups.setdefault(key, {})
        if donor.role in group:
            raise RecipeError(
                f"Pair {donor.pair!r} has two {donor.role} donors{at}.",
                [str(group[donor.role].id), str(donor.id)],
                "give each pair a name of its own: parameters: {pair: NAME}.",
            )
        group[donor.role] = donor
    if not groups:
        raise RecipeError(f"The recipe has no donors{at}.", [], _ROLE_FIX)
    pairs = [_pair(name, group, at, target) for (name, _), group in groups.items()]
    return _distinct(pairs)


def _distinct(pairs: Sequence[Pair]) -> list[Pair]:
    """Vectors need no names, but two of one name would get one control and one line of a table."""
    taken = {pair.name for pair in pairs if pair.sft is not None}
    named = []
    for pair in pairs:
        name, number = pair.name, 1
        while pair.sft is None and name in taken:
            number += 1
            name = f"{pair.name} {number}"
        taken.add(name)
        named.append(replace(pair, name=name))
    return named


def _pair(name: str, group: dict[str, Donor], at: str, target: Hashable) -> Pair:
    if vector := group.get("vector"):
        return Pair(vector.pair, vector.id, None, _weight(vector))
    missing = next((role for role in ("grpo", "sft") if role not in group), None)
    if missing:
        (present,) = group.values()
        facts = [f"{present.id}: role {present.role}", f"no donor has role {missing}"]
        fix = f"add the {missing} donor, or name the pairs so that twins share a name."
        if target is not None:
            facts.append(f"target: {target}")
            fix += " The target (base_model) can be the sft donor and no other: list it there too."
        raise RecipeError(f"Pair {name!r} has no {missing} donor{at}.", facts, fix)
    return Pair(name, group["grpo"].id, group["sft"].id, _weight(group["grpo"]))


def _weight(donor: Donor) -> float:
    return 1.0 if donor.weight is None else donor.weight
