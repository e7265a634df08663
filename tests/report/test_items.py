"""The items, packed for the page: what became of each, and both outputs."""

import base64
import gzip
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rvec_merge.errors import ResultsError
from rvec_merge.report.items import packed_items
from rvec_merge.results.read import Results, read_results
from tests.report.conftest import HOSTILE, rewrite_samples


def unpack(text: str) -> list[dict[str, Any]]:
    """The packed items, with their texts in place."""
    found = json.loads(gzip.decompress(base64.b64decode(text)))
    texts = found["texts"]
    for condition in found["conditions"]:
        condition["items"] = [[i[0], *(texts[n] for n in i[1:])] for i in condition["items"]]
    return list(found["conditions"])


def test_every_item_is_there_under_what_became_of_it(results: Results) -> None:
    found = {(c["task"], c["condition"]): c for c in unpack(packed_items(results))}
    for row, _ in results.records():
        compared = row.comparison
        if compared is None:
            continue
        condition = found.pop((row.cell.task, row.cell.condition))
        codes = [item[0] for item in condition["items"]]
        assert condition["fixed"] == codes.count(1) == compared.rose
        assert condition["broken"] == codes.count(0) == compared.fell
        assert condition["unchanged"] == codes.count(2) + codes.count(3)
        assert len(codes) == compared.n
        assert codes.count(2) + compared.rose == round(row.level.mean * row.level.n)
    assert not found


def test_results_that_do_not_say_what_was_compared_show_what_changed(results: Results) -> None:
    flips = tuple(replace(one, items=None) for one in results.summary.flips)
    older = replace(results, summary=replace(results.summary, flips=flips))
    for condition in unpack(packed_items(older)):
        assert "unchanged" not in condition
        assert len(condition["items"]) == condition["fixed"] + condition["broken"]


def test_what_changed_goes_before_what_did_not(results: Results) -> None:
    whole = packed_items(results)
    for condition in unpack(packed_items(results, budget=len(whole) - 1)):
        codes = [item[0] for item in condition["items"]]
        assert codes.count(1) == condition["fixed"]
        assert codes.count(2) + codes.count(3) == min(condition["unchanged"], 20)


def test_an_item_shows_question_answer_and_both_outputs(results: Results) -> None:
    vector = next(c for c in unpack(packed_items(results)) if "+ 0.5 vector" in c["condition"])
    rose, name, question, answer, before, _, after, _ = vector["items"][0]
    assert rose
    assert name.startswith("rvec_tiny ")
    assert question.endswith("?")  # without the chat template's marks
    assert "<|" not in question
    right = answer.rpartition("#### ")[2]
    assert after.endswith(right)
    assert not before.endswith(f" {right}")


def test_a_choice_shows_every_option_with_its_likelihood(results: Results) -> None:
    chosen = [c for c in unpack(packed_items(results)) if c["task"] == "rvec_sciq"]
    output = chosen[0]["items"][0][4]
    assert len(output.splitlines()) == 4
    assert output.count("→") == 1


def test_a_tight_budget_keeps_as_many_of_every_condition(results: Results) -> None:
    changed = replace(
        results,
        summary=replace(
            results.summary,
            flips=tuple(replace(one, items=None) for one in results.summary.flips),
        ),
    )
    whole = packed_items(changed)
    some = packed_items(changed, budget=len(whole) - 1)
    assert len(some) < len(whole)
    most = 10  # the next number below this experiment's 18 risen items
    for condition in unpack(some):
        kept = [item[0] for item in condition["items"]]
        assert kept.count(1) == min(condition["fixed"], most)
        assert kept.count(0) == min(condition["broken"], most)


def test_long_outputs_keep_their_ends(copy: Path) -> None:
    def lengthen(row: dict[str, Any]) -> None:
        if isinstance(row["resps"][0][0], str):
            row["resps"] = [["begin " + os.urandom(4000).hex() + " end"]]

    for cell in (copy / "cells").iterdir():
        rewrite_samples(cell, lengthen)
    condition = unpack(packed_items(read_results(copy)))[0]
    before = condition["items"][0][4]
    assert before.startswith("begin ")
    assert before.endswith(" end")
    assert "[… 4,010 characters left out …]" in before


def test_hostile_texts_arrive_as_they_were_written(hostile: Path) -> None:
    texts = json.dumps(unpack(packed_items(read_results(hostile))), ensure_ascii=False)
    for text in HOSTILE:
        assert json.dumps(f"output {text}", ensure_ascii=False) in texts


def test_a_cell_that_is_gone_is_named(copy: Path) -> None:
    results = read_results(copy)
    folder = results.cell(results.summary.flips[2]).folder
    shutil.rmtree(folder)
    with pytest.raises(ResultsError, match="cell of the results is gone"):
        packed_items(results)
