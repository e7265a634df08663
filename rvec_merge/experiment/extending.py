"""More tokens for the outputs that were cut off; the others stay as they are."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rvec_merge.errors import PlanError
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.runner import Evaluated
from rvec_merge.experiment.store import CellResult, Store
from rvec_merge.experiment.tasks import TaskBook
from rvec_merge.tasks.outputs import describe, is_truncated

Rows = list[dict[str, Any]]


def extended_plan(plan: Plan, book: TaskBook, store: Store) -> Plan:
    """The plan of a results folder, at twice its token budget; or at its own, if it is unfinished.

    Raises:
        PlanError: the folder holds no experiment, or a task says nothing of its budget.
    """
    head = store.found()
    if head is None:
        raise PlanError(
            "There is nothing to extend.",
            [f"{store.root} holds no experiment"],
            "run it without --extend first.",
        )
    earlier = [head["plan"], *head["plan"]["tasks"]]
    given = [(one.get("generation") or {}).get("max_gen_toks") for one in earlier]
    before = max((tokens for tokens in given if tokens is not None), default=None)
    if before is None:
        budgets = {t.task: book.budget(t.task, None) for t in plan.tasks}
        lacking = [task for task, budget in budgets.items() if budget is None]
        if lacking:
            raise PlanError(
                "It is not known how many tokens an output might have.",
                [f"{', '.join(lacking)}: generation_kwargs without one max_gen_toks"],
                "run it again with --set generation.max_gen_toks=N.",
            )
        before = max(budget for budget in budgets.values() if budget is not None)
    return plan.with_budget(2 * before if store.is_finished else before)


def smaller_budgets(plan: Plan) -> Iterator[Plan]:
    """The plan as it may have been run before, the largest token budget first."""
    tokens = plan.generation.max_gen_toks
    while tokens is not None:
        tokens = tokens // 2 or None
        yield plan.with_budget(tokens)


def cut_items(result: CellResult) -> dict[str, tuple[int, ...]]:
    """By subtask, the doc_ids of items with an output that was cut off."""
    found: dict[str, set[int]] = {}
    for row in result.samples():
        if is_truncated(row):
            found.setdefault(row["task"], set()).add(row["doc_id"])
    return {task: tuple(sorted(ids)) for task, ids in found.items()}


def joined(before: CellResult, again: Evaluated | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Facts and files of a cell whose cut items were run again; None where there were none.

    lm-eval's results file keeps what it says of the run, with means and hashes of all rows.
    """
    kept = {path.name: path.read_bytes() for path in _files(before)}
    if again is None:
        return dict(before.facts), kept
    rows = list(before.samples())
    newer = {(r["task"], r["doc_id"], r["filter"]): r for r in _rows(again.files)}
    rows = [newer.get((r["task"], r["doc_id"], r["filter"]), r) for r in rows]
    by_task: dict[str, Rows] = {}
    for row in rows:
        by_task.setdefault(row["task"], []).append(row)
    files = {}
    for name, content in kept.items():
        task = _task_of(name)
        if name.startswith("results_"):
            files[name] = json.dumps(_with_means(json.loads(content), by_task), indent=2).encode()
        elif task in by_task:
            lines = ({k: v for k, v in row.items() if k != "task"} for row in by_task[task])
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            files[name] = gzip.compress(text.encode(), mtime=0)
        else:
            files[name] = content
    lengths = {
        task: {**found, **again.facts["lengths"].get(task, {})}
        for task, found in before.facts["lengths"].items()
    }
    facts = {**before.facts, **describe(rows, lengths), "lengths": lengths}
    return facts, files


def _files(result: CellResult) -> Sequence[Any]:
    return sorted(p for p in result.folder.iterdir() if p.name != "cell.json")


def _task_of(name: str) -> str:
    # lm-eval's name: samples_<task>_<date>.jsonl; a date holds no underscore.
    return name.removeprefix("samples_").rpartition("_")[0]


def _rows(files: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    for name, content in files.items():
        if name.startswith("samples_"):
            for line in gzip.decompress(content).decode().splitlines():
                yield {**json.loads(line), "task": _task_of(name)}


def _with_means(results: dict[str, Any], rows: Mapping[str, Rows]) -> dict[str, Any]:
    for task, found in results.get("results", {}).items():
        _set_means(found, rows.get(task, []))
    for group, found in (results.get("groups") or {}).items():
        below = results.get("group_subtasks", {}).get(group, [])
        _set_means(found, [row for task in below for row in rows.get(task, [])])
    for task, found in rows.items():
        hashes = "".join(r["doc_hash"] + r["prompt_hash"] + r["target_hash"] for r in found)
        results["task_hashes"][task] = hashlib.sha256(hashes.encode("utf-8", "replace")).hexdigest()
    return results


def _set_means(found: dict[str, Any], rows: Rows) -> None:
    for name in found:
        metric, comma, filter_name = name.partition(",")
        values = [r[metric] for r in rows if r["filter"] == filter_name and metric in r]
        if comma and values and "stderr" not in metric:
            found[name] = float(np.mean(values))
