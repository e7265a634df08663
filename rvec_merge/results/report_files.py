"""The files a finished experiment leaves beside its cells."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

from rvec_merge.errors import ResultsError
from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.planned import Experiment
from rvec_merge.experiment.store import CellResult, Store
from rvec_merge.files.reading import damaged, read_as
from rvec_merge.results.flips import Flips
from rvec_merge.results.summary import Summary, summarise
from rvec_merge.results.tables import cells_csv, markdown

SUMMARY = "summary.json"
FLIPS = "flips.json"


def write_summary(
    experiment: Experiment, scale: float, results: Mapping[Cell, CellResult], store: Store
) -> Summary:
    """Judge the results; writes ``summary.md`` and ``.json``, ``cells.csv`` and ``flips.json``."""
    summary = summarise(experiment, scale, results)
    text = json.dumps(summary.as_dict(), indent=2, sort_keys=True, ensure_ascii=False)
    store.write(SUMMARY, text + "\n")
    store.write("summary.md", markdown(summary, experiment.plan, experiment.plan.recipe))
    store.write("cells.csv", cells_csv(summary.rows))
    lines = [json.dumps(asdict(f), sort_keys=True, ensure_ascii=False) for f in summary.flips]
    store.write(FLIPS, "[\n" + ",\n".join(lines) + "\n]\n")
    return summary


def read_summary(store: Store) -> Summary:
    """What ``write_summary`` wrote.

    Raises:
        ResultsError: the experiment is not finished, or its files are damaged.
    """
    path = store.root / SUMMARY
    if not path.is_file():
        raise ResultsError(
            "The experiment is not finished.",
            [f"no {path}"],
            "run `rvec experiment` into this folder again; finished cells are kept.",
        )
    summary = read_as(path, Summary)
    try:
        json.dumps(summary.as_dict(), allow_nan=False)
    except ValueError:
        raise damaged(path, "a number in it is not finite") from None
    flips = read_as(store.root / FLIPS, tuple[Flips, ...])
    if len(flips) != len(summary.rows):
        raise ResultsError(
            "Two files of the results do not belong together.",
            [f"{SUMMARY}: {len(summary.rows)} conditions", f"{FLIPS}: {len(flips)}"],
            "run `rvec experiment` into this folder again; finished cells are kept.",
        )
    return replace(summary, flips=flips)
