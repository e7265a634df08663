"""What the page is made of: results as read, charts as data, the changed items."""

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
from rvec_merge.experiment.fingerprint import checkpoint_fingerprint
from rvec_merge.experiment.store import Store
from rvec_merge.report.charts import (
    _apart,
    forest_chart,
    robust_chart,
    scale_chart,
)
from rvec_merge.report.inspect_vector import vector_map
from rvec_merge.report.items import packed_items
from rvec_merge.results.read import Results, read_results
from rvec_merge.results.report_files import read_summary
from rvec_merge.vector.heat_map import HeatMap

from .conftest import HOSTILE, family, rewrite_samples


def unpack(text: str) -> list[dict[str, Any]]:
    """The packed items, with their texts in place."""
    found = json.loads(gzip.decompress(base64.b64decode(text)))
    texts = found["texts"]
    for condition in found["conditions"]:
        condition["items"] = [[i[0], *(texts[n] for n in i[1:])] for i in condition["items"]]
    return list(found["conditions"])


def test_a_summary_is_read_as_it_was_written(folder: Path) -> None:
    written = json.loads((folder / "summary.json").read_text())
    assert json.loads(json.dumps(read_summary(Store(folder)).as_dict())) == written


def test_checkpoints_are_recorded(results: Results) -> None:
    target, *donors = results.summary.inputs
    assert target.reference == "demo/family/target"
    assert {d.reference for d in donors} == {"demo/family/grpo", "demo/family/sft"}
    assert len({i.sha256 for i in results.summary.inputs}) == 3


@pytest.mark.parametrize(
    ("name", "text", "headline"),
    [
        ("summary.json", None, "not finished"),
        ("flips.json", "[]", "do not belong together"),
        ("summary.json", '{"rows": 3}', "damaged"),
        ("experiment.json", '{"format": 2}', "damaged"),
        ("experiment.json", '{"format": 99}', "another version"),
        ("experiment.json", None, "no results folder"),
        ("experiment.json", "{", "damaged"),
    ],
)
def test_damage_is_named(copy: Path, name: str, text: str | None, headline: str) -> None:
    if text is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(text)
    with pytest.raises(ResultsError, match=headline):
        read_results(copy)


def test_the_scale_chart_shows_the_summary(results: Results) -> None:
    chart = scale_chart(results, "rvec_tiny")
    assert [p.scale for p in chart.curve] == [0, 0.25, 0.5]
    for point, candidate in zip(chart.curve, results.summary.candidates, strict=True):
        assert point.estimate.value == 100 * candidate.level.mean
        assert 0 <= point.estimate.low < point.estimate.value < point.estimate.high <= 100
    assert [p.scale for p in chart.reported] == [results.summary.scale, -results.summary.scale]
    assert [p.scale for p in chart.controls] == [-0.5, 0, 0.5]
    assert [line.label for line in chart.lines] == ["target", "sft donor", "grpo donor", "controls"]
    assert scale_chart(results, "rvec_sciq").curve == ()  # it chose nothing


def test_effective_scales_are_shown_where_they_differ(results: Results) -> None:
    first, *rest = results.summary.candidates
    rounded = [replace(c, effective_scale=0.5 * c.scale) for c in rest]
    same = [replace(c, effective_scale=1.001 * c.scale) for c in rest]
    for candidates, expected in ((rounded, [None, 0.125, 0.25]), (same, [None, None, None])):
        summary = replace(results.summary, candidates=(first, *candidates))
        chart = scale_chart(replace(results, summary=summary), "rvec_tiny")
        assert [p.effective for p in chart.curve] == expected


def test_the_forest_has_every_comparison_in_order(results: Results) -> None:
    chart = forest_chart(results, "rvec_tiny")
    compared = [r for r in results.rows("rvec_tiny") if r.comparison]
    assert [r.label for r in chart.rows] == [r.cell.condition for r in compared]
    vector = next(r for r in chart.rows if r.label == "target + 0.5 vector")
    assert vector.significant
    assert vector.estimate.low > 0


def test_the_robustness_chart_pairs_clean_with_perturbed(results: Results) -> None:
    chart = robust_chart(results, "rvec_tiny")
    assert chart is not None
    shown = {(row.items, row.family) for row in chart.rows}
    families = ("target", "vector", "control")
    assert shown == {(items, f) for items in ("clean", "typos") for f in families}
    assert robust_chart(results, "rvec_sciq") is None


def test_labels_keep_their_distance() -> None:
    assert _apart([5.0, 1.0, 5.5], gap=2.0) == [5.0, 1.0, 7.0]


def test_the_heat_map_is_that_of_rvec_inspect(results: Results) -> None:
    found = vector_map(results)
    assert isinstance(found, HeatMap)
    norm, small_norm, density, small_density = found.panels
    assert (norm.title, small_norm.title) == (
        "relative norm, matrices",
        "relative norm, biases and norms",
    )
    assert norm.log
    assert not density.log
    assert len(norm.kinds) == len(norm.values) == 7
    assert len(small_density.kinds) == 5
    assert all(v is not None and 0 < v <= 1 for row in density.values for v in row)
    assert found.outside[0].startswith("embed_tokens: relative norm 0.007")


def test_a_vector_of_changed_donors_is_not_shown(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert isinstance(vector_map(results), HeatMap)
    shutil.copy("demo/family/target/model.safetensors", "demo/family/sft/model.safetensors")
    checkpoint_fingerprint.cache_clear()
    assert vector_map(results) == "Not shown: demo/family/sft is no longer what was evaluated."


def test_a_vector_that_is_not_here_is_told_not_fetched(results: Results) -> None:
    elsewhere = replace(results, recipe=results.recipe.replace("demo/family/grpo", "org/away"))
    assert vector_map(elsewhere) == "Not shown: org/away is not a folder on this machine."


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
