"""Charts as data: every point is a number of the summary."""

from dataclasses import replace

from rvec_merge.report.charts import (
    _apart,
    forest_chart,
    robust_chart,
    scale_chart,
)
from rvec_merge.results.read import Results


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
