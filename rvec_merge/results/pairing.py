"""Which item of one run is which item of another: unequal items are an error, not a guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rvec_merge.errors import ResultsError
from rvec_merge.stats.significance import Outcomes
from rvec_merge.tasks.samples import FilteredSamples, Run, TaskSamples

By = Literal["doc_id", "doc_hash"]
Names = tuple[str, str]  # a task's name in A and in B
Score = tuple[str, str]  # a filter and a metric
Pair = tuple[Outcomes, Outcomes]


@dataclass(frozen=True)
class PairedRuns:
    """Outcomes on the same items, by task and score; groups whose tasks are all there."""

    scores: Mapping[Names, Mapping[Score, Pair]]
    groups: Mapping[str, tuple[Names, ...]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """What to compare: names to keep (all where empty), and what makes two items the same.

    Attributes:
        tasks: tasks or groups; ``A=B`` where the runs name a task differently.
        by: documents that occur k times are paired in the order of their ``doc_id``.
        different_prompts: prompts, documents and answers may differ (plain against think,
            clean against perturbed). Without it any difference is an error.
        common_items: items that only one run holds are left out. Without it they are an error.
    """

    tasks: Sequence[str] = ()
    filters: Sequence[str] = ()
    metrics: Sequence[str] = ()
    by: By = "doc_id"
    different_prompts: bool = False
    common_items: bool = False


def pair_runs(a: Run, b: Run, selection: Selection) -> PairedRuns:
    """Pair two runs item by item.

    Raises:
        ResultsError: tasks, filters, metrics, items, prompts or answers are not the same.
    """
    scores: dict[Names, dict[Score, Pair]] = {}
    notes: list[str] = []
    for names in _tasks(a, b, selection.tasks):
        one, two = a.tasks[names[0]], b.tasks[names[1]]
        scores[names] = {}
        for chosen in _filters(one, two, selection.filters):
            left, right = one.filters[chosen], two.filters[chosen]
            items = _align(left, right, selection)
            notes.extend(_left_out(left, right, items))
            notes.extend(_differences(left, right, items, selection, b.source))
            for metric in _metrics(left, right, selection.metrics):
                scores[names][chosen, metric] = (
                    Outcomes(items.names, left.metrics[metric][items.left]),
                    Outcomes(items.names, right.metrics[metric][items.right]),
                )
    if not any(scores.values()):
        kept = [f"{f.filter}, {m}" for t in a.tasks.values() for f in t.filters.values()
                for m in f.metrics]  # fmt: skip
        raise ResultsError(
            "Nothing to compare: no task has the filters and metrics asked for.",
            [f"there are: {'; '.join(sorted(set(kept))) or 'none that give a number per item'}"],
            "choose --filter and --metric from these.",
        )
    groups = {
        group: tuple((leaf, leaf) for leaf in leaves)
        for group, leaves in a.groups.items()
        if len(leaves) > 1
        and b.groups.get(group) == leaves
        and all((leaf, leaf) in scores for leaf in leaves)
    }
    return PairedRuns(scores, groups, tuple(dict.fromkeys(notes)))


def _tasks(a: Run, b: Run, asked: Sequence[str]) -> list[Names]:
    if not asked:
        if len(a.tasks) == len(b.tasks) == 1:
            return [(next(iter(a.tasks)), next(iter(b.tasks)))]
        if a.tasks.keys() != b.tasks.keys():
            raise ResultsError(
                "The runs do not hold the same tasks.",
                _only("tasks", a.tasks, b.tasks),
                "choose with --task NAME, or --task A=B where the two names differ.",
            )
        return [(task, task) for task in a.tasks]
    pairs: list[Names] = []
    for name in asked:
        left, _, right = name.partition("=")
        if not right and left in a.groups and b.groups.get(left) == a.groups[left]:
            pairs.extend((leaf, leaf) for leaf in a.groups[left])
            continue
        for run, task in ((a, left), (b, right or left)):
            if task not in run.tasks:
                raise ResultsError(
                    f"{run.source} holds no samples of {task}.",
                    [f"it holds {', '.join([*run.tasks, *run.groups])}"],
                    "choose --task from these, or --task A=B where the two names differ.",
                )
        pairs.append((left, right or left))
    return list(dict.fromkeys(pairs))


def _filters(a: TaskSamples, b: TaskSamples, asked: Sequence[str]) -> list[str]:
    common = _common(f"Filters of {a.task}", "--filter", a.filters, b.filters, asked)
    if a.filter_definitions is not None and b.filter_definitions is not None:
        one, two = (
            {str(entry.get("name")): entry for entry in task.filter_definitions} for task in (a, b)
        )
        changed = [name for name in common if one.get(name) != two.get(name)]
        if changed:
            raise ResultsError(
                f"Filter {changed[0]} of {a.task} is not defined alike in both runs.",
                [f"{side}: {found.get(changed[0])}" for side, found in (("A", one), ("B", two))],
                "evaluate both with the same task file; the answers were read differently.",
            )
    return common


def _metrics(a: FilteredSamples, b: FilteredSamples, asked: Sequence[str]) -> list[str]:
    return _common(f"Metrics of {a.task}", "--metric", a.metrics, b.metrics, asked)


def _common(
    what: str, option: str, a: Iterable[str], b: Iterable[str], asked: Sequence[str]
) -> list[str]:
    left, right = list(a), set(b)
    if asked:
        left, right = [n for n in left if n in asked], {n for n in right if n in asked}
    if set(left) != right:
        raise ResultsError(
            f"{what} are not the same in both runs.",
            _only(what.split()[0].lower(), left, right),
            f"evaluate both with the same task file, or choose with {option}.",
        )
    return left


@dataclass(frozen=True)
class _Items:
    """Names of the items, and where each one is in A (``left``) and in B (``right``)."""

    names: NDArray[Any]
    left: NDArray[np.intp]
    right: NDArray[np.intp]


def _align(a: FilteredSamples, b: FilteredSamples, selection: Selection) -> _Items:
    left, right = (_keys(one, selection.by) for one in (a, b))
    common, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    same = left.size == right.size == common.size
    if not (same or (selection.common_items and common.size)):
        facts = [f"A holds {left.size}, B holds {right.size}, {common.size} in common"]
        for side, mine, other in (("A", left, right), ("B", right, left)):
            alone = np.setdiff1d(mine, other)[:3]
            if alone.size:
                facts.append(
                    f"only in {side}: {selection.by} {', '.join(str(key) for key in alone)}"
                )
        raise ResultsError(
            f"Items of {a.task} are not the same in both runs.",
            facts,
            "evaluate both on the same items (same data, same --limit), or pass --common-items "
            "to leave out the others.",
        )
    return _Items(common, at_left, at_right)


def _left_out(a: FilteredSamples, b: FilteredSamples, items: _Items) -> list[str]:
    alone = [one.items.size - items.names.size for one in (a, b)]
    return [
        f"{a.task}: left out {count} items that only {side} holds."
        for side, count in zip("AB", alone, strict=True)
        if count
    ]


def _keys(samples: FilteredSamples, by: By) -> NDArray[Any]:
    if by == "doc_id":
        return samples.items
    seen: dict[str, int] = {}
    keys = []
    for name in samples.doc_hashes.tolist():
        seen[name] = seen.get(name, 0) + 1
        keys.append(f"{name}#{seen[name]}")
    return np.array(keys)


def _differences(
    a: FilteredSamples, b: FilteredSamples, items: _Items, selection: Selection, source: str
) -> list[str]:
    """Say on how many items the runs differ; refuse where they must not."""
    counts = {
        what: int((one[items.left] != two[items.right]).sum())
        for what, one, two in (
            ("documents", a.doc_hashes, b.doc_hashes),
            ("prompts", a.prompt_hashes, b.prompt_hashes),
            ("answers", a.target_hashes, b.target_hashes),
        )
    }
    facts = [f"{what} differ on {k} of {items.names.size} items" for what, k in counts.items() if k]
    if facts and not selection.different_prompts:
        raise ResultsError(
            f"{a.task} did not ask the same in both runs.",
            [*facts, f"B: {source}"],
            "evaluate both with the same task and model template, or pass --different-prompts "
            "if that is what you compare (plain against think, clean against perturbed).",
        )
    notes = [f"{a.task}: {', '.join(facts)}."] if facts else []
    if selection.by == "doc_hash" and a.repeats:
        notes.append(
            f"{a.task}: {a.repeats} of {items.names.size} items repeat an earlier document; "
            "paired in order of doc_id."
        )
    return notes


def _only(what: str, a: Iterable[str], b: Iterable[str]) -> list[str]:
    left, right = set(a), set(b)
    sides = (("A", sorted(left - right)), ("B", sorted(right - left)))
    return [f"{what} only in {side}: {', '.join(names)}" for side, names in sides if names]
