"""The files a finished experiment leaves beside its cells."""

import json
from collections.abc import Mapping

from rvec_merge.evaluation.conditions import Cell
from rvec_merge.evaluation.experiment import Experiment
from rvec_merge.evaluation.store import CellResult, Store
from rvec_merge.evaluation.summary import Summary, summarise
from rvec_merge.evaluation.tables import cells_csv, markdown


def write_summary(
    experiment: Experiment, scale: float, results: Mapping[Cell, CellResult], store: Store
) -> Summary:
    """Judge the results and write ``summary.md``, ``summary.json`` and ``cells.csv``."""
    summary = summarise(experiment, scale, results)
    text = json.dumps(summary.as_dict(), indent=2, sort_keys=True, ensure_ascii=False)
    store.write("summary.json", text + "\n")
    store.write("summary.md", markdown(summary, experiment.plan, experiment.plan.recipe))
    store.write("cells.csv", cells_csv(summary.rows))
    return summary
