"""Two conditions of one experiment as two runs, to be compared as any others."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from rvec_merge.errors import ResultsError
from rvec_merge.results.read import Results, read_results
from rvec_merge.tasks.samples import Run, TaskSamples, read_run


def runs_of(folder: Path, conditions: Sequence[str]) -> list[Run]:
    """What each of the conditions gave, on all tasks that it was reported on.

    Raises:
        ResultsError: the folder holds no finished experiment, or no such condition.
    """
    results = read_results(folder)
    return [_run(results, condition) for condition in conditions]


def _run(results: Results, condition: str) -> Run:
    known = dict.fromkeys(row.cell.condition for row, _ in results.records())
    # A hyphen is what a keyboard has for the minus sign that tables print.
    named = {name.replace("−", "-"): name for name in known}.get(condition.replace("−", "-"))
    if named is None:
        near = get_close_matches(condition, known, n=1)
        raise ResultsError(
            f"The results have no condition {condition!r}.",
            [f"did you mean {near[0]!r}?"] if near else [f"there are: {'; '.join(known)}"],
            "name two of summary.md's conditions.",
        )
    tasks: dict[str, TaskSamples] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for row, flips in results.records():
        if row.cell.condition == named:
            run = read_run(results.cell(flips).folder)
            tasks.update(run.tasks)
            groups.update(run.groups)
    return Run(f"{named}, of {results.name}", tasks, groups)
