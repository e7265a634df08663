"""The figures as files: they draw, they say what they show, and equal results give equal bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rvec_merge.errors import OutputError
from rvec_merge.report.charts import scale_chart
from rvec_merge.report.figures import draw, write_figures
from rvec_merge.results.read import Results


def test_svg_figures_hold_their_words_as_text(results: Results, tmp_path: Path) -> None:
    write_figures(results, "none", tmp_path)
    forest = (tmp_path / "forest-rvec_tiny.svg").read_text()
    for row in results.rows("rvec_tiny"):
        assert row.comparison is None or f">{row.cell.condition}</text>" in forest
    assert not (tmp_path / "vector.svg").exists()


def test_png_figures_are_wide_enough_to_print_and_not_blank(
    results: Results, tmp_path: Path
) -> None:
    for path in write_figures(results, "none", tmp_path):
        if path.suffix == ".png":
            grey = np.asarray(Image.open(path).convert("L"))
            assert grey.shape[1] == 1400
            assert 0.01 < (grey < 200).mean() < 0.5
            margins = np.concatenate([grey[:, 0], grey[:, -1], grey[0], grey[-1]])
            assert margins.min() == 255, f"{path.name}: something is cut off at the edge"


def test_the_same_results_draw_the_same_bytes(results: Results, tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw(
            scale_chart(results, "rvec_tiny"), [tmp_path / f"{name}.svg", tmp_path / f"{name}.png"]
        )
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_effective_scales_get_their_own_axis(results: Results, tmp_path: Path) -> None:
    chart = scale_chart(results, "rvec_tiny")
    rounded = replace(chart, curve=tuple(replace(p, effective=p.scale / 2) for p in chart.curve))
    for name, drawn in (("plain", chart), ("rounded", rounded)):
        draw(drawn, [tmp_path / f"{name}.svg"])
    assert "effective scale" in (tmp_path / "rounded.svg").read_text()
    assert ">0.12<" in (tmp_path / "rounded.svg").read_text()


def test_a_folder_that_cannot_be_made_is_told(results: Results, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="figures cannot be written"):
        write_figures(results, "none", tmp_path / "file" / "figures")
