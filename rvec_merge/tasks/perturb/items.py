"""One perturbation on one item, and on a whole set of items."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rvec_merge.errors import TaskError
from rvec_merge.tasks.perturb import numeric, program
from rvec_merge.tasks.perturb.code import reword
from rvec_merge.tasks.perturb.sentences import distractor, shuffle, words
from rvec_merge.tasks.perturb.spec import PerturbationSpec, Refusal
from rvec_merge.tasks.perturb.typos import typos

ORIGIN = "orig_id"
"""Column of a perturbed item: its row in the clean set. Pair by it; refused items leave gaps."""
LABEL = "perturbation"
"""Column of a perturbed item: kind, generator version and seed."""
SHOWN = "shown_prompt"
"""Column of a perturbed code item: what the model reads; ``prompt`` is what runs."""

_TEXTS = {"chain": ("question", "answer"), "code": ("entry_point",)}  # read beside the fields
_DRAWS = {"numeric": numeric.near, "range": numeric.far}


def perturb(item: Mapping[str, Any], spec: PerturbationSpec) -> dict[str, Any] | Refusal:
    """Perturb one item. The same (seed, kind, text) gives the same result everywhere."""
    texts = (*spec.fields, *_TEXTS.get(spec.layout, ()))
    absent = [name for name in spec.protect if name not in item]
    absent += [name for name in texts if not isinstance(item.get(name), str)]
    if absent:
        raise TaskError(
            f"The perturbation {spec.kind} reads a text column that the data lacks: {absent[0]}.",
            [f"columns: {', '.join(item)}"],
            "name the text columns in the task's `perturbation: {fields: [...]}`.",
        )
    text = "\n".join(str(item[name]) for name in spec.fields)
    rng = random.Random(f"{spec.seed}|{spec.kind}|{text}")
    if spec.kind in _DRAWS:
        return _renumber(item, spec, rng)
    if spec.kind == "shuffle" and spec.layout == "program":
        return program.shuffle(dict(item), rng)
    if spec.layout == "code":
        shown = reword(
            item[spec.fields[0]],
            item["entry_point"],
            lambda prose, names: _change(prose, spec, rng, names),
        )
        return shown if isinstance(shown, Refusal) else {**item, SHOWN: shown}
    return _reword(item, spec, rng)


def _renumber(
    item: Mapping[str, Any], spec: PerturbationSpec, rng: random.Random
) -> dict[str, Any] | Refusal:
    draw = _DRAWS[spec.kind]
    if spec.layout == "program":
        return program.renumber(dict(item), rng, draw)
    if spec.layout != "chain":
        raise TaskError(
            f"The perturbation {spec.kind} needs a worked solution to compute the answer from.",
            [f"layout: {spec.layout}"],
            "use `layout: chain` (GSM8K's <<expr=value>> steps), or another perturbation.",
        )
    new = numeric.renumber(item["question"], item["answer"], rng, draw)
    if isinstance(new, Refusal):
        return new
    return {**item, "question": new[0], "answer": new[1]}


def _reword(
    item: Mapping[str, Any], spec: PerturbationSpec, rng: random.Random
) -> dict[str, Any] | Refusal:
    protected = frozenset().union(*(words(str(item[name])) for name in spec.protect))
    changed: dict[str, Any] = {}
    refusal = Refusal("there is no text")
    for name in spec.fields:
        head, until, rest = _split(item[name], spec.until)
        if not head.strip():
            continue
        new = _change(head, spec, rng, protected | words(rest))
        if isinstance(new, Refusal):
            refusal = new
            continue
        changed[name] = new + until + rest
        if spec.kind != "typos":
            break
    return {**item, **changed} if changed else refusal


def _split(text: str, until: str | None) -> tuple[str, str, str]:
    return text.partition(until) if until else (text, "", "")


def _change(
    text: str, spec: PerturbationSpec, rng: random.Random, protected: frozenset[str]
) -> str | Refusal:
    if spec.kind == "typos":
        return typos(text, rng, protected=protected, math=spec.layout == "math")
    if spec.kind == "shuffle":
        return shuffle(text, rng)
    return distractor(text, rng)


@dataclass(frozen=True)
class Realised:
    """A perturbed set: its rows, how many items were offered, why some were refused."""

    rows: tuple[dict[str, Any], ...]
    offered: int
    refused: Mapping[str, int]

    @property
    def share(self) -> float:
        """Share of the offered items that were changed."""
        return len(self.rows) / self.offered if self.offered else 0.0


def realise(items: Iterable[Mapping[str, Any]], spec: PerturbationSpec) -> Realised:
    """Perturb a set. Refused items are left out; each row says which item it came from.

    A set that was realised before (by ``rvec perturb``) is taken as it is.

    Raises:
        TaskError: the set was realised by another perturbation, or no item can be perturbed.
    """
    rows: list[dict[str, Any]] = []
    refused: Counter[str] = Counter()
    offered = 0
    for index, item in enumerate(items):
        offered += 1
        if LABEL in item:
            check_label(str(item[LABEL]), spec)
            rows.append(dict(item))
            continue
        new = perturb(item, spec)
        if isinstance(new, Refusal):
            refused[new.reason] += 1
        else:
            rows.append({**new, ORIGIN: index, LABEL: spec.label})
    if not rows:
        raise TaskError(
            f"The perturbation {spec.kind} changes none of the {offered} items.",
            [f"{count} x {reason}" for reason, count in refused.most_common()],
            "use another perturbation for this task, or more items.",
        )
    return Realised(tuple(rows), offered, dict(sorted(refused.items())))


def check_label(label: str, spec: PerturbationSpec) -> None:
    """Refuse data that was perturbed before by another kind."""
    if label.split()[0] != spec.kind:
        raise TaskError(
            "The data was perturbed before, in another way.",
            [f"data: {label}", f"task: {spec.kind}"],
            f"evaluate it with the task's {label.split()[0]} variant, or give the clean data.",
        )
