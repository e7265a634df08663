"""The items that a condition changed, with both outputs, packed for the page."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rvec_merge.evaluation.flips import Flips
from rvec_merge.report.results import Results

BUDGET = 1_000_000  # bytes of the packed items; the whole page stays under 2 MB
_AT_MOST = (2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1, 0)  # items per condition, direction
_HEAD, _TAIL = 1000, 3000  # characters kept of a long text
_Key = tuple[str, int]  # subtask, doc_id


@dataclass(frozen=True)
class Sample:
    """One item's prompt, reference answer, output, and what was read from the output."""

    question: str
    answer: str
    output: str
    read: str


def packed_items(results: Results, budget: int = BUDGET) -> str:
    """Every changed item, as base64 of gzipped JSON; an even share of them if that is too long.

    The JSON: ``texts``, each text once; ``conditions``, each with its task, name, baseline and
    totals, and ``items``: [rose, item, question, answer, output before, read before, after,
    read after], all but the first as indices into ``texts``.

    Raises:
        ResultsError: a cell is gone.
    """
    baselines = {row.cell: flips for row, flips in results.records() if row.comparison is None}
    before: dict[str, Mapping[_Key, Sample]] = {}
    found = []
    for row, flips in results.records():
        wanted = {"rose": _keys(flips.rose), "fell": _keys(flips.fell)}
        if row.comparison is None or not any(wanted.values()):
            continue
        baseline = baselines[row.cell.baseline]
        if baseline.key not in before:
            before[baseline.key] = _samples(results, baseline)
        after = _samples(results, flips)
        pairs = {
            direction: [(key, before[baseline.key][key], after[key]) for key in keys]
            for direction, keys in wanted.items()
        }
        found.append((row.cell.task, flips.condition, baseline.condition, pairs))
    for most in _AT_MOST:
        text = _packed(found, most)
        if len(text) <= budget:
            break
    return text


def _packed(found: list[tuple[str, str, str, Any]], most: int) -> str:
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    conditions = []
    for task, condition, baseline, pairs in found:
        items = [
            [
                int(direction == "rose"),
                number(f"{subtask} {doc_id}"),
                number(a.question),
                number(a.answer),
                *(number(text) for s in (a, b) for text in (s.output, s.read)),
            ]
            for direction in ("rose", "fell")
            for (subtask, doc_id), a, b in pairs[direction][:most]
        ]
        totals = {direction: len(pairs[direction]) for direction in pairs}
        named = {"task": task, "condition": condition, "baseline": baseline}
        conditions.append({**named, **totals, "items": items})
    whole = json.dumps({"texts": list(texts), "conditions": conditions}, ensure_ascii=False)
    return base64.b64encode(gzip.compress(whole.encode(), mtime=0)).decode()


def _keys(items: Mapping[str, tuple[int, ...]]) -> list[_Key]:
    """In an order that says nothing, so that the first ones are a fair share."""
    keys = [(subtask, doc_id) for subtask, ids in items.items() for doc_id in ids]
    return sorted(keys, key=lambda key: hashlib.sha256(repr(key).encode()).digest())


def _samples(results: Results, flips: Flips) -> dict[_Key, Sample]:
    rows = [r for r in results.cell(flips).samples() if r["filter"] == flips.filter]
    start, end = _shared([_prompt(row) for row in rows])
    return {
        (row["task"], row["doc_id"]): Sample(
            _clip(_prompt(row)[start:end].strip()),
            _clip(str(row["target"])),
            _clip(_output(row)),
            _read(row),
        )
        for row in rows
    }


def _shared(prompts: list[str]) -> tuple[int, int | None]:
    """Where an item's own part of its prompt begins and ends (from the end; None: nowhere).

    What all prompts share is worked examples and the chat template's marks. Words that happen
    to be shared stay: the start is cut after a line, the end where a mark or a line begins.
    """
    start = _same_start(prompts).rfind("\n") + 1
    backwards = [prompt[start:][::-1] for prompt in prompts]
    ending = _same_start(backwards)[::-1]
    mark = re.search(r"[<\[\n]", ending)
    return start, mark.start() - len(ending) if mark else None


def _same_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)  # the two that differ earliest
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first if same is None else first[:same]


def _prompt(row: Mapping[str, Any]) -> str:
    return str(row["arguments"]["gen_args_0"]["arg_0"])


def _output(row: Mapping[str, Any]) -> str:
    """The generated text, or the choices with their log-likelihoods, the likeliest marked."""
    first = row["resps"][0][0]
    if isinstance(first, str):
        return first
    choices = [str(call["arg_1"]).strip() for call in row["arguments"].values()]
    scores = [float(response[0][0]) for response in row["resps"]]
    best = max(scores)
    return "\n".join(
        f"{'→' if score == best else ' '} {score:8.2f}  {choice}"
        for score, choice in zip(scores, choices, strict=False)
    )


def _read(row: Mapping[str, Any]) -> str:
    """What the filter made of the output; empty where that is the output itself."""
    answer = row["filtered_resps"][0]
    return answer if isinstance(answer, str) and answer != row["resps"][0][0] else ""


def _clip(text: str) -> str:
    left_out = len(text) - _HEAD - _TAIL
    if left_out <= 0:
        return text
    return f"{text[:_HEAD]}\n[… {left_out:,} characters left out …]\n{text[-_TAIL:]}"
