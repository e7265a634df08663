"""What a cell's outputs look like: length, worked steps, whether an answer could be read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rvec_merge.answer.judge import METRICS
from rvec_merge.errors import ResultsError
from rvec_merge.stats.significance import Outcomes

# What lm-eval's regex filters give where nothing matched.
_UNREAD = "[invalid]"


def lengths(
    rows: Iterable[Mapping[str, Any]], count_tokens: Callable[[str], int]
) -> dict[str, dict[str, int]]:
    """The (mean) length of each item's generated outputs in tokens, by subtask and doc_id."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        outputs = row["resps"][0]
        if isinstance(outputs[0], str) and str(row["doc_id"]) not in found.setdefault(
            row["task"], {}
        ):
            written = sum(map(count_tokens, outputs))
            found[row["task"]][str(row["doc_id"])] = round(written / len(outputs))
    return found


def describe(
    rows: Sequence[Mapping[str, Any]], lengths: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """Summarise sample rows of a cell: all of them, or those of the reported items.

    Args:
        rows: lm-eval's, one per item and filter, each with its subtask's name under ``task``.
        lengths: what ``lengths`` found.

    Returns:
        ``items``, ``outputs``: how many; ``means``: by filter, then metric; ``tokens``: mean
        length of the outputs (None
        for loglikelihood tasks); ``parsable``: share of outputs with an answer (None where
        nothing tells); ``no_answer``, ``not_judged``, ``thinking_unfinished``: shares of outputs
        (None for tasks without ``answer``); ``truncated``: share of items cut off at the token
        budget (None where nothing tells); ``steps``: mean number of worked steps (None where
        they are not counted).
    """
    first = [row for row in rows if row["filter"] == rows[0]["filter"]]
    by_filter: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        metrics = by_filter.setdefault(row["filter"], {})
        for name in row["metrics"]:
            metrics.setdefault(name, []).append(_number(row[name]))
    means = {f: {m: float(np.mean(v)) for m, v in ms.items()} for f, ms in by_filter.items()}
    tokens = [
        lengths[row["task"]][str(row["doc_id"])]
        for row in first
        if str(row["doc_id"]) in lengths.get(row["task"], {})
    ]
    return {
        "items": len(first),
        "outputs": sum(len(row["resps"][0]) for row in first),
        "means": means,
        "tokens": float(np.mean(tokens)) if tokens else None,
        "parsable": _parsable(rows, means, bool(tokens)),
        "steps": next(iter(means.values())).get("steps"),
        **{name: next(iter(means.values())).get(name) for name in METRICS if name != "answer"},
        "truncated": _share([is_truncated(row) for row in first if "finish_reasons" in row]),
    }


def is_truncated(row: Mapping[str, Any]) -> bool:
    """Whether an output of a sample row was cut off at the token budget."""
    return "length" in row.get("finish_reasons", ())


def _share(found: Sequence[bool]) -> float | None:
    return float(np.mean(found)) if found else None


def outcomes(
    rows: Iterable[Mapping[str, Any]],
    metric: str,
    filter_name: str,
    names: Mapping[str, Mapping[int, str]],
) -> Outcomes:
    """One metric of a cell, item by item; without the items that could not be judged.

    Args:
        names: by subtask, then doc_id, the items to take and what to call them.
    """
    samples, taken, logged = 1, [], dict[str, None]()
    for row in rows:
        logged |= dict.fromkeys(row["metrics"])
        known = names[row["task"]]
        if row["filter"] == filter_name and row["doc_id"] in known and metric in row:
            name = known[row["doc_id"]]
            taken.append((name, _number(row[metric]), row["task"], is_truncated(row)))
            # A filter's own metrics are of an item's first output.
            samples = len(row["resps"][0]) if metric == "answer" else 1
    if not taken:
        raise ResultsError(
            f"No item was scored by {metric}, filter {filter_name}.",
            [f"they were scored by {', '.join(logged) or 'nothing'}"],
            "name one of these as the task's metric in the plan; finished cells are kept.",
        )
    items, values, strata, truncated = map(np.array, zip(*taken, strict=True))
    return Outcomes(items, values, strata, truncated, samples)


def _parsable(
    rows: Iterable[Mapping[str, Any]], means: Mapping[str, Mapping[str, float]], generated: bool
) -> float | None:
    first = next(iter(means.values()))
    if "no_answer" in first:
        return 1 - first["no_answer"]
    told = first.get("has_answer")
    if told is not None or not generated:
        return told
    # Regex filters mark what they could not read; take the most lenient one.
    read: dict[str, list[bool]] = {}
    for row in rows:
        answer = row["filtered_resps"][0]
        if isinstance(answer, str):
            read.setdefault(row["filter"], []).append(answer != _UNREAD)
    shares = [float(np.mean(found)) for name, found in read.items() if name != "none"]
    return max(shares) if shares else None


def _number(value: Any) -> float:
    # A metric with several values per item (a group of choices) is its mean.
    return float(np.mean(value))
