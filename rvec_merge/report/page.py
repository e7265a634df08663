"""The report: one HTML page that carries its data, its charts' library and its style."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rvec_merge.errors import OutputError, why
from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.store import CellResult
from rvec_merge.files.names import write_below
from rvec_merge.files.reading import Recorded, read_as
from rvec_merge.report.charts import (
    Chart,
    forest_chart,
    robust_chart,
    scale_chart,
)
from rvec_merge.report.items import packed_items
from rvec_merge.results import wording
from rvec_merge.results.read import Results
from rvec_merge.results.rows import Column, about_steps, columns
from rvec_merge.stats.verdict import Finding
from rvec_merge.vector.heat_map import HeatMap

OURS = "rvec-merge"
GENERATOR = "rvec report"  # names the page's maker in its head, and what may be overwritten
_ASSETS = files("rvec_merge.report") / "assets"
_LIBRARY = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
_MARKS = {
    Finding.HELPS: "▲",
    Finding.NOT_ABOVE: "△",
    Finding.UNCONTROLLED: "△",
    Finding.NOTHING: "○",
    Finding.HURTS: "▼",
    Finding.UNDECIDED: "◇",
}
_BACKENDS = {"hf": "transformers", "vllm": "vLLM"}
_MACHINE = re.compile(r"^(?:GPU models and configuration|Model name): *(\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class TaskSection:
    """One task of the page.

    Attributes:
        columns: those that differ between rows.
        everywhere: what the others say, once.
        groups: the table's rows, each group headed by the baseline that its rows are compared with.
    """

    task: str
    conditions: tuple[str, ...]
    columns: tuple[Column, ...]
    everywhere: tuple[str, ...]
    charts: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]


def render_page(results: Results, vector: HeatMap | str) -> str:
    """The whole page, as HTML that loads nothing.

    Everything that comes from a model, a task, a recipe or a plan is data: it goes through the
    template's escaping, or through JSON into text nodes; none of it is ever markup.

    Args:
        vector: the heat map, or why there is none.

    Raises:
        ResultsError: a cell is gone.
    """
    charts: list[Chart] = []
    sections = []
    for task in [t.task for t in results.plan.tasks]:
        makers = (scale_chart, forest_chart, robust_chart)
        drawn = [chart for make in makers if (chart := make(results, task)) is not None]
        sections.append(_section(results, task, range(len(charts), len(charts) + len(drawn))))
        charts += drawn
    if isinstance(vector, HeatMap):
        charts.append(vector)
    scripts = [(_ASSETS / name).read_text(encoding="utf-8") for name in (*_LIBRARY, "page.js")]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((_ASSETS / "page.html").read_text(encoding="utf-8"))
    return template.render(
        generator=GENERATOR,
        results=results,
        summary=results.summary,
        verdicts=[
            (_MARKS[v.finding], v, wording.headline(v), wording.details(v))
            for v in results.summary.verdicts
        ],
        about_steps=about_steps(results.summary.rows, results.summary.scale),
        donors=f"{wording.donors(results.plan.donors)} {wording.generation(results.plan)}".strip(),
        flags=results.summary.flags,
        sections=sections,
        charts=charts,
        vector=vector,
        plan=yaml.safe_dump(
            results.plan.model_dump(mode="json", exclude_none=True), sort_keys=False
        ),
        packages=" ".join(
            f"{name}=={version.partition('+')[0]}"
            for name, version in results.versions.items()
            if name != OURS  # it is on no index
        ),
        version=results.versions.get(OURS, "of that time"),
        facts=_facts(results),
        rule=re.sub(r"(?<!\.)\n {3}", " ", results.summary.rule),
        items=packed_items(results),
        data=Markup(_json([{"kind": type(c).__name__, **asdict(c)} for c in charts])),
        style=Markup((_ASSETS / "page.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
        licences=Markup(_licences()),
    )


def _section(results: Results, task: str, charts: range) -> TaskSection:
    rows = results.rows(task)
    shown = columns(rows, binary=results.binary(task))
    groups: dict[Cell, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.cell.baseline, []).append(i)
    headed = [
        sorted(group, key=lambda i: rows[i].comparison is not None) for group in groups.values()
    ]
    return TaskSection(
        task,
        tuple(row.cell.condition for row in rows),
        tuple(column for column in shown if not column.constant),
        tuple(f"{c.title} {c.texts[0]}" for c in shown if c.constant),
        tuple(charts),
        tuple(tuple(group) for group in headed),
    )


def _facts(results: Results) -> dict[str, str]:
    """When, where and at what cost cells were run; of all in the folder, those that chose too."""
    cells = [
        cell for path in results.store.cells.iterdir() if (cell := results.store.find(path.name))
    ]
    records = [record for cell in cells for record in _records(cell)]
    seconds = sum(cell.facts.get("seconds") or 0.0 for cell in cells)
    tokens = sum((c.facts["tokens"] or 0.0) * (c.facts.get("outputs") or 0) for c in cells)
    where = [_where(cell) for cell in cells]
    said = {
        "Run": _days([record.date for record in records if record.date is not None]),
        "Backend and device": _listed(where) or "not recorded by the version that ran this",
        "Machine": _listed(m for r in records for m in _machine(r.pretty_env_info or "")),
        "Wall time": f"{_time(seconds)} of {len(cells)} cells, each counted by itself",
        "Output": f"{tokens:,.0f} tokens",
    }
    return {name: text for name, text in said.items() if text}


def _records(cell: CellResult) -> Iterator[Recorded]:
    for path in cell.folder.glob("results_*.json"):
        yield read_as(path, Recorded)


def _where(cell: CellResult) -> str:
    found = cell.facts.get("backend") or {}
    name, version = str(found.get("name", "")), found.get("version")
    on = f" on {found['device']}" if "device" in found else ""
    return f"{_BACKENDS.get(name, name)}{f' {version}' if version else ''}{on}"


def _machine(told: str) -> list[str]:
    named = (name.removeprefix("GPU 0: ") for name in _MACHINE.findall(told))
    return [name for name in named if name != "Could not collect"]


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text))


def _days(dates: list[float]) -> str:
    days = sorted({f"{datetime.fromtimestamp(d, timezone.utc):%Y-%m-%d}" for d in dates})
    return " to ".join(dict.fromkeys([*days[:1], *days[-1:]]))


def _time(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor begin anything else."""
    text = json.dumps(value, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy under which these scripts run, and nothing else does."""
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _licences() -> str:
    """The licences of the embedded library, for a comment."""
    texts = [(_ASSETS / f"vendor/LICENSE.{name}").read_text() for name in ("d3", "plot")]
    return html.escape("\n".join(texts), quote=False).replace("--", "- -")


def write_page(page: str, path: Path) -> Path:
    """Write the report, whole or not at all; an earlier report is replaced.

    Raises:
        OutputError: something else is there, or the path cannot be written to.
    """
    try:
        if path.exists() and f'content="{GENERATOR}"' not in path.read_text("utf-8", "replace"):
            raise OutputError(
                "The output exists and is no report.", [f"{path}"], "name another file."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_below(path.parent, path.name, page)
    except OSError as error:
        raise OutputError(
            "The report cannot be written.", [f"{path}", why(error)], "name another file."
        ) from None
    return path
