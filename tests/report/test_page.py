"""The page as text: what it says, what it does not load, and what cannot break out of it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rvec_merge.errors import OutputError
from rvec_merge.report.page import render_page, write_page
from rvec_merge.results.read import Results, read_results
from rvec_merge.results.wording import details, headline

from .conftest import HOSTILE


class Elements(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self._inside not in {"script", "style"}:
            self.text += data


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return render_page(results, "Left out.")


def test_the_page_says_what_the_summary_says(results: Results, page: str) -> None:
    text = " ".join(Elements(page).text.split())
    for verdict in results.summary.verdicts:
        assert f"{verdict.task}: {headline(verdict)} {details(verdict)}" in text
    for row in results.summary.rows:
        assert row.cell.condition in text
    for part in (results.recipe, results.summary.rule):
        assert " ".join(part.split()) in text
    assert "Backend and device transformers on cpu" in text
    assert re.search(r"Run \d{4}-\d\d-\d\d Backend", text)
    assert re.search(r"seconds of \d+ cells, each counted by itself", text)
    assert re.search(r"Output [\d,]+ tokens", text)
    for model in results.summary.inputs:
        assert model.sha256 in text
    assert "rvec experiment plan.yaml -o results/tiny" in text
    assert "Donors were evaluated with the target's tokenizer" in text


def test_the_command_that_runs_it_again_installs_what_an_index_has(page: str) -> None:
    (command,) = re.findall(r"pip install [^\n]*", page)
    assert "rvec-merge" not in command
    assert "lm-eval==" in command


def test_captions_follow_the_plan(results: Results, page: str) -> None:
    assert "added and subtracted" in page
    assert "control draws have the seeds" not in page  # there is one
    controls = results.plan.controls.model_copy(update={"random": 6})
    plan = results.plan.model_copy(update={"subtract": False, "controls": controls})
    other = render_page(replace(results, plan=plan), "Left out.")
    assert "added and subtracted" not in other
    assert "control draws have the seeds 0, 1, …" in other


def test_a_scale_chart_without_a_curve_or_controls_is_left_out(results: Results) -> None:
    rows = tuple(r for r in results.summary.rows if r.cell.state.kind != "random")
    flips = tuple(f for r, f in results.records() if r.cell.state.kind != "random")
    summary = replace(results.summary, rows=rows, flips=flips, candidates=())
    assert "<h3>Scale</h3>" in render_page(results, "Left out.")
    assert "<h3>Scale</h3>" not in render_page(replace(results, summary=summary), "Left out.")


def test_the_page_loads_nothing(page: str) -> None:
    elements = Elements(page)
    for tag, attributes in elements.tags:
        assert not {"src", "srcset", "action", "data"} & attributes.keys(), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
        assert not any(name.startswith("on") for name in attributes), tag
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert len(page.encode()) < 2_000_000


def test_nothing_hostile_becomes_markup(hostile: Path, page: str) -> None:
    attacked = render_page(read_results(hostile), "Left out.")
    harmless, found = Elements(page), Elements(attacked)
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in harmless.tags]
    for text in HOSTILE:  # the recipe is shown outright; the items are packed
        assert text in found.text


def test_the_plan_on_the_page_is_a_plan(results: Results, page: str, tmp_path: Path) -> None:
    from rvec_merge.experiment.plan_file import read_plan

    shown = re.search(r'aria-label="Plan">(.*?)</pre>', page, re.DOTALL)
    assert shown is not None
    (tmp_path / "plan.yaml").write_text(shown[1])
    plan, _ = read_plan(tmp_path / "plan.yaml")
    assert plan == results.plan


def test_a_report_may_be_replaced_and_nothing_else(tmp_path: Path, page: str) -> None:
    path = tmp_path / "deep" / "report.html"
    assert write_page(page, path) == path
    write_page(page, path)
    path.write_text("<html>my own notes</html>")
    with pytest.raises(OutputError, match="is no report"):
        write_page(page, path)
    assert path.read_text() == "<html>my own notes</html>"
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_path_that_cannot_be_written_is_told(tmp_path: Path, page: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_page(page, tmp_path / "file" / "report.html")
