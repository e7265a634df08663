"""The page in a real Chromium: it works, by keyboard too, and axe-core has no complaint."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rvec_merge.report.inspect_vector import vector_map
from rvec_merge.report.page import render_page
from rvec_merge.results.read import Results, read_results

AXE = Path(__file__).parent / "assets" / "axe.min.js"
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def report(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_page(results, vector_map(results)), encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Open a page from disk, in a browser without a network; fails if the console complains."""
    complaints: list[str] = []
    contexts = []

    def run(path: Path, width: int = 1280, scheme: str = "light") -> Any:
        size = {"width": width, "height": 900}
        context = browser.new_context(
            viewport=size, color_scheme=scheme, offline=True, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(path.as_uri())
        page.wait_for_selector("#list article")
        # Not wait_for_function: the page's policy lets nobody evaluate strings in it.
        page.wait_for_selector("[data-chart]:not(:has(svg))", state="detached")
        return page

    yield run
    for context in contexts:
        context.close()
    assert not complaints


def column(page: Any, heading: str) -> list[str]:
    """A column of the first table's first group, below its baseline."""
    headings = page.locator("table.conditions").first.locator("thead th").all_inner_texts()
    number = headings.index(heading)
    rows = page.locator("table.conditions").first.locator("tbody").first.locator("tr")
    return [row.locator("th, td").nth(number).inner_text() for row in rows.all()[1:]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(
    open_page: Open, report: Path, width: int, scheme: str
) -> None:
    page = open_page(report, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(r => r.violations)")
    serious = [v for v in found if v["impact"] in {"serious", "critical"}]
    assert not serious, [(v["id"], v["nodes"][0]["html"]) for v in serious]


def test_on_a_phone_a_rows_small_print_is_below_its_numbers(open_page: Open, report: Path) -> None:
    page = open_page(report, 390)
    edges = page.evaluate(
        """[...document.querySelectorAll(".conditions tbody tr")].map((row) => {
          const bottom = (e) => e.getBoundingClientRect().bottom;
          const small = row.querySelector("small").getBoundingClientRect();
          return [Math.max(...[...row.cells].slice(1).map(bottom)), small.top, small.bottom,
                  row.getBoundingClientRect().bottom];
        })"""
    )
    assert len(edges) > 10
    for numbers, top, bottom, row in edges:
        assert numbers <= top <= bottom <= row


def test_every_chart_is_drawn_and_named(open_page: Open, report: Path) -> None:
    page = open_page(report)
    charts = page.locator("[data-chart]")
    assert charts.count() == 6  # two tasks: scale and forest each, one robustness; the vector
    for chart in charts.all():
        image = chart.locator("> svg[role=img]").first
        assert image.get_attribute("aria-label")
        assert image.bounding_box()["height"] > 100


def test_a_heading_sorts_within_the_groups_below_their_baselines(
    open_page: Open, report: Path
) -> None:
    page = open_page(report)
    table = page.locator("table.conditions").first
    plan_order = column(page, "condition")
    heading = table.get_by_role("columnheader", name="accuracy %")
    for state, backwards in (("descending", True), ("ascending", False)):
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == state
        shown = [float(text.split(" ± ")[0]) for text in column(page, "accuracy %")]
        assert shown == sorted(shown, reverse=backwards)
        heads = [group.locator("th").first.inner_text() for group in table.locator("tbody").all()]
        assert heads[0] == "target"
        assert all(head.startswith("target, ") for head in heads[1:])
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "none"
    assert column(page, "condition") == plan_order


def test_the_target_stays_in_sight_while_scrolling(open_page: Open, report: Path) -> None:
    page = open_page(report)
    page.evaluate("document.querySelectorAll('.conditions tr')[5].scrollIntoView()")
    box = page.locator("table.conditions .baseline th").first.bounding_box()
    assert 0 <= box["y"] < 60


def test_the_item_browser_filters_and_turns_pages(
    open_page: Open, report: Path, results: Results
) -> None:
    page = open_page(report)
    row = next(r for r in results.summary.rows if r.cell.condition == "target + 0.5 vector")
    rose, fell = row.comparison.rose, row.comparison.fell
    status, items = page.get_by_role("status"), page.locator("#list article")
    assert page.get_by_role("combobox", name="Condition").input_value() == "target + 0.5 vector"
    assert status.inner_text().startswith(f"{rose + fell} changed items; page 1 of")
    first = items.first.inner_text()
    page.get_by_role("button", name="Next").click()
    assert "page 2 of" in status.inner_text()
    assert items.first.inner_text() != first
    page.get_by_role("button", name="Previous").click()
    assert items.first.inner_text() == first
    page.get_by_role("combobox", name="Outcome").select_option("broken")
    assert status.inner_text().startswith(f"{fell} broken items; page 1 of")
    page.get_by_role("combobox", name="Outcome").select_option("unchanged")
    assert status.inner_text().startswith(f"{row.level.n - rose - fell} unchanged items; page 1 of")
    assert "· target + 0.5 vector · unchanged" in items.first.inner_text()
    sides = [side.get_attribute("class") for side in items.first.locator(".sides > div").all()]
    assert sides in (["right", "right"], ["wrong", "wrong"])
    page.get_by_role("combobox", name="Outcome").select_option("")
    page.get_by_role("combobox", name="Condition").select_option("target − 0.5 vector")
    assert items.count() > 0
    assert "· target − 0.5 vector · broken" in page.locator("#list").inner_text()
    page.get_by_role("combobox", name="Task").select_option("rvec_sciq")
    page.get_by_role("combobox", name="Outcome").select_option("unchanged")
    assert "→" in items.first.inner_text()


def test_the_item_browser_searches_questions_and_outputs(open_page: Open, report: Path) -> None:
    page = open_page(report)
    status, items = page.get_by_role("status"), page.locator("#list article")
    output = items.first.locator(".sides pre").last.inner_text()
    line = output.splitlines()[-1]
    page.get_by_role("searchbox", name="Text").fill(line.upper())
    assert line in items.first.inner_text()
    assert " with this text; page 1 of" in status.inner_text()
    page.get_by_role("searchbox", name="Text").fill("no output says this")
    assert items.count() == 0
    assert ", 0 with this text; page 1 of 1" in status.inner_text()


def test_an_item_has_an_address(open_page: Open, report: Path) -> None:
    page = open_page(report)
    page.get_by_role("button", name="Next").click()
    item = page.locator("#list article").nth(1)
    told, link = item.inner_text(), item.locator("h3 a").get_attribute("href")
    page.goto(f"{report.as_uri()}{link}")
    page.reload()
    linked = page.locator("#list .linked")
    linked.wait_for()
    assert linked.inner_text() == told
    assert "page 2 of" in page.get_by_role("status").inner_text()
    page.get_by_role("combobox", name="Outcome").select_option("unchanged")
    item = page.locator("#list article").first
    told, link = item.inner_text(), item.locator("h3 a").get_attribute("href")
    page.goto(f"{report.as_uri()}{link}")
    page.reload()
    linked.wait_for()
    assert linked.inner_text() == told


def test_everything_works_by_keyboard(open_page: Open, report: Path) -> None:
    page = open_page(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the findings"
    seen = []
    for _ in range(150):
        page.keyboard.press("Tab")
        tag, words = page.evaluate(
            "[document.activeElement.tagName, (document.activeElement.id "
            "|| document.activeElement.name || document.activeElement.textContent).trim()]"
        )
        seen.append((tag, words))
        if words == "accuracy %":
            page.keyboard.press("Enter")
        if words == "next":
            page.keyboard.press("Space")
            break
    for wanted in (
        ("BUTTON", "accuracy %"),
        ("SELECT", "condition"),
        ("SUMMARY", "density, matrices as a table"),
    ):
        assert wanted in seen
    assert "page 2 of" in page.get_by_role("status").inner_text()
    assert page.locator("th[aria-sort=descending]").count() > 0


def test_hovering_tells_the_numbers(open_page: Open, report: Path) -> None:
    page = open_page(report)
    chart = page.locator("[data-chart]").first
    chart.scroll_into_view_if_needed()
    point = chart.locator("circle").nth(1).bounding_box()
    page.mouse.move(point["x"] + 3, point["y"] + 3)
    chart.get_by_text("choosing items, scale 0.25").first.wait_for()


@pytest.mark.parametrize("width", [1280, 390])
def test_charts_follow_the_window(open_page: Open, report: Path, width: int) -> None:
    page = open_page(report, width)
    page.set_viewport_size({"width": 800, "height": 900})
    for chart in range(page.locator("[data-chart]").count()):
        page.wait_for_selector(f"[data-chart='{chart}'] > svg[role=img][width='768']")


def test_what_models_wrote_is_text_and_nothing_else(
    open_page: Open, hostile: Path, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(render_page(read_results(hostile), "Left out."), encoding="utf-8")
    page = open_page(path)
    title = page.title()
    texts = ""
    while True:
        texts += page.locator("#list").inner_text()
        forward = page.get_by_role("button", name="Next")
        if forward.is_disabled():
            break
        forward.click()
    assert "output </script><script>document.title='owned'</script>" in texts
    assert "output {{ 7 * 7 }} {% for x in cycler" in texts
    assert "output <img src=x onerror=" in texts
    assert page.locator("img").count() == 0
    assert page.title() == title
