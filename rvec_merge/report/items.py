"""The items, changed ones first, with both outputs, packed for the page."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from rvec_merge.experiment.conditions import Cell
from rvec_merge.files.reading import damaged
from rvec_merge.results.flips import Flips
from rvec_merge.results.read import Results

BUDGET = 1_000_000  # bytes of the packed items; the whole page stays under 2 MB
_AT_MOST = (2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1, 0)  # items per condition, outcome
_UNCHANGED = 200  # of a condition, at most
_HEAD, _TAIL = 1000, 3000  # characters kept of a long text
_Key = tuple[str, int]  # subtask, doc_id


@dataclass(frozen=True)
class Sample:
    """One item's prompt, reference answer, output, what was read from it, and whether it is right.

    An output that is part right, as one of several samples may be, counts as right.
    """

    question: str
    answer: str
    output: str
    read: str
    right: bool


@dataclass(frozen=True)
class _Condition:
    """A condition beside its baseline: its items by outcome, in the order in which they are kept.

    Attributes:
        totals: of the outcomes ``fixed``, ``broken`` and ``unchanged``; the last is absent where
            the results do not say which items were compared.
        keys: of each outcome, but of the unchanged ones no more than can be kept.
    """

    cell: Cell
    name: str
    baseline: str
    totals: Mapping[str, int]
    keys: Mapping[str, Sequence[_Key]]
    before: Mapping[_Key, Sample]
    after: Mapping[_Key, Sample]


def packed_items(results: Results, budget: int = BUDGET) -> str:
    """The items as base64 of gzipped JSON: all that changed, and unchanged ones as far as they fit.

    Where it is too long an even share of every condition's is kept.

    The JSON: ``texts``, each text once; ``conditions``, each with its task, name, baseline, the
    totals of each outcome, and ``items``: [outcome, item, question, answer, output before, read
    before, after, read after], all but the first as indices into ``texts``. Outcomes are 0 broken,
    1 fixed, 2 right before and after, 3 wrong before and after.

    Raises:
        ResultsError: a cell is gone, damaged, or lacks an item.
    """
    found = _conditions(results)
    most = next((n for n in _AT_MOST if len(_packed(found, n, 0)) <= budget), 0)
    shares = [n for n in _AT_MOST if n <= min(most, _UNCHANGED)]
    return next(t for n in shares if len(t := _packed(found, most, n)) <= budget or n == 0)


def _conditions(results: Results) -> list[_Condition]:
    baselines = {row.cell: flips for row, flips in results.records() if row.comparison is None}
    compared = [(row.cell, flips) for row, flips in results.records() if row.comparison is not None]
    every = [_by_outcome(flips, baselines[cell.baseline]) for cell, flips in compared]
    kept = [{**keys, "unchanged": keys.get("unchanged", [])[:_UNCHANGED]} for keys in every]
    wanted = [{key for keys in outcomes.values() for key in keys} for outcomes in kept]
    shared: dict[Cell, set[_Key]] = {}
    for (cell, _), keys in zip(compared, wanted, strict=True):
        shared.setdefault(cell.baseline, set()).update(keys)
    before = {cell: _samples(results, baselines[cell], keys) for cell, keys in shared.items()}
    return [
        _Condition(
            cell,
            flips.condition,
            baselines[cell.baseline].condition,
            {outcome: len(keys) for outcome, keys in every[i].items()},
            kept[i],
            before[cell.baseline],
            _samples(results, flips, wanted[i]),
        )
        for i, (cell, flips) in enumerate(compared)
    ]


def _by_outcome(flips: Flips, baseline: Flips) -> dict[str, list[_Key]]:
    keys = {"fixed": _keys(flips.rose), "broken": _keys(flips.fell)}
    if baseline.items is not None:
        changed = {*keys["fixed"], *keys["broken"]}
        keys["unchanged"] = [key for key in _keys(baseline.items) if key not in changed]
    return keys


def _packed(found: list[_Condition], most: int, unchanged: int) -> str:
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    conditions = []
    for one in found:
        kept = {"fixed": most, "broken": most, "unchanged": unchanged}
        items = [
            [
                _code(outcome, b),
                number(f"{key[0]} {key[1]}"),
                number(a.question),
                number(a.answer),
                *(number(text) for s in (a, b) for text in (s.output, s.read)),
            ]
            for outcome, keys in one.keys.items()
            for key in keys[: kept[outcome]]
            for a, b in [(one.before[key], one.after[key])]
        ]
        named = {"task": one.cell.task, "condition": one.name, "baseline": one.baseline}
        conditions.append({**named, **one.totals, "items": items})
    whole = json.dumps({"texts": list(texts), "conditions": conditions}, ensure_ascii=False)
    packed = gzip.compress(whole.encode("utf-8", "replace"), mtime=0)
    return base64.b64encode(packed).decode()


def _code(outcome: str, after: Sample) -> int:
    return {"broken": 0, "fixed": 1}.get(outcome, 2 if after.right else 3)


def _keys(items: Mapping[str, tuple[int, ...]]) -> list[_Key]:
    """In an order that says nothing, so that the first ones are a fair share."""
    keys = [(subtask, doc_id) for subtask, ids in items.items() for doc_id in ids]
    return sorted(keys, key=lambda key: hashlib.sha256(repr(key).encode()).digest())


def _samples(results: Results, flips: Flips, wanted: Collection[_Key]) -> dict[_Key, Sample]:
    """The wanted items of a cell. Memory: their prompts, and of other texts what is shown."""
    cell = results.cell(flips)
    prompts: dict[_Key, str] = {}
    shown: dict[_Key, tuple[str, str, str, bool]] = {}
    frame = _Frame()
    for row in cell.samples():
        if row.get("filter") != flips.filter:
            continue
        try:
            key, prompt = (row["task"], row["doc_id"]), _prompt(row)
            frame.add(prompt)
            if key in wanted:
                prompts[key] = prompt
                texts = _clip(str(row["target"])), _clip(_output(row)), _clip(_read(row))
                shown[key] = (*texts, bool(row.get(flips.metric)))
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
