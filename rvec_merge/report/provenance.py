"""When, where and at what cost an experiment's cells were run."""

import re
from collections.abc import Iterator
from datetime import datetime, timezone

from rvec_merge.experiment.store import CellResult
from rvec_merge.files.reading import Recorded, read_as
from rvec_merge.results.read import Results

_BACKENDS = {"hf": "transformers", "vllm": "vLLM"}
_MACHINE = re.compile(r"^(?:GPU models and configuration|Model name): *(\S.*)$", re.MULTILINE)


def facts(results: Results) -> dict[str, str]:
    """What the page says of the run, by name; of every cell in the folder, those that chose too."""
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


def _listed(texts: "Iterator[str] | list[str]") -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text))


def _days(dates: list[float]) -> str:
    days = sorted({f"{datetime.fromtimestamp(d, timezone.utc):%Y-%m-%d}" for d in dates})
    return " to ".join(dict.fromkeys([*days[:1], *days[-1:]]))


def _time(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
