"""The items that a condition changed, with both outputs, packed for the page."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from rvec_merge.experiment.conditions import Cell
from rvec_merge.files.reading import damaged
from rvec_merge.results.flips import Flips
from rvec_merge.results.read import Results

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
        ResultsError: a cell is gone, damaged, or lacks an item.
    """
    baselines = {row.cell: flips for row, flips in results.records() if row.comparison is None}
    before: dict[str, Mapping[_Key, Sample]] = {}
    changed: dict[Cell, set[_Key]] = {}
    for row, flips in results.records():
        keys = changed.setdefault(row.cell.baseline, set())
        keys.update(_keys(flips.rose), _keys(flips.fell))
    found = []
    for row, flips in results.records():
        wanted = {"rose": _keys(flips.rose), "fell": _keys(flips.fell)}
        if row.comparison is None or not any(wanted.values()):
            continue
        baseline = baselines[row.cell.baseline]
        if baseline.key not in before:
            before[baseline.key] = _samples(results, baseline, changed[row.cell.baseline])
        after = _samples(results, flips, {*wanted["rose"], *wanted["fell"]})
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
    packed = gzip.compress(whole.encode("utf-8", "replace"), mtime=0)
    return base64.b64encode(packed).decode()


def _keys(items: Mapping[str, tuple[int, ...]]) -> list[_Key]:
    """In an order that says nothing, so that the first ones are a fair share."""
    keys = [(subtask, doc_id) for subtask, ids in items.items() for doc_id in ids]
    return sorted(keys, key=lambda key: hashlib.sha256(repr(key).encode()).digest())


def _samples(results: Results, flips: Flips, wanted: Collection[_Key]) -> dict[_Key, Sample]:
    """The wanted items of a cell. Memory: their prompts, and of other texts what is shown."""
    cell = results.cell(flips)
    prompts: dict[_Key, str] = {}
    shown: dict[_Key, tuple[str, str, str]] = {}
    frame = _Frame()
    for row in cell.samples():
        if row.get("filter") != flips.filter:
            continue
        try:
            key, prompt = (row["task"], row["doc_id"]), _prompt(row)
            frame.add(prompt)
            if key in wanted:
                prompts[key] = prompt
                shown[key] = (_clip(str(row["target"])), _clip(_output(row)), _clip(_read(row)))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise damaged(cell.folder, f"a row is none of lm-eval's: {error!r}") from None
    lacking = next((key for key in wanted if key not in shown), None)
    if lacking is not None:
        raise damaged(cell.folder, f"no sample of item {lacking[1]} of {lacking[0]}")
    start, end = frame.own()
    return {
        key: Sample(_clip(prompts[key][start:end].strip()), *texts) for key, texts in shown.items()
    }


class _Frame:
    """What all prompts share at either end: worked examples and the chat template's marks.

    Words that happen to be shared are no part of it: the start is cut after a line, the end
    where a mark or a line begins.
    """

    def __init__(self) -> None:
        self._start: str | None = None
        self._reversed_end = ""
        self._shortest = 0

    def add(self, prompt: str) -> None:
        backwards = prompt[::-1]
        if self._start is None:
            self._start, self._reversed_end, self._shortest = prompt, backwards, len(prompt)
        self._start = _same_start(self._start, prompt)
        self._reversed_end = _same_start(self._reversed_end, backwards)
        self._shortest = min(self._shortest, len(prompt))

    def own(self) -> tuple[int, int | None]:
        """Where an item's own part begins and ends (from the end; None: nowhere)."""
        start = (self._start or "").rfind("\n") + 1
        ending = self._reversed_end[: self._shortest - start][::-1]
        mark = re.search(r"[<\[\n]", ending)
        return start, mark.start() - len(ending) if mark else None


def _same_start(same: str, text: str) -> str:
    if text.startswith(same):
        return same
    length = next(i for i, (a, b) in enumerate(zip_longest(same, text)) if a != b)
    return same[:length]


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
