"""``--extend``: outputs that were cut off get twice the tokens, the others stay as they are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import PlanError
from rvec_merge.experiment.runner import CellRunner
from rvec_merge.results.read import read_results
from rvec_merge.stats.verdict import Finding
from rvec_merge.tasks.samples import read_run
from tests.experiment.test_truncation import FEW

SHORT = {**FEW, "generation": {"max_gen_toks": 24}}


def experiment(plan: Path, out: Path, *more: str) -> Any:
    done = CliRunner().invoke(rvec, ["experiment", str(plan), "-o", str(out), "-q", *more])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


def test_extended_results_are_those_of_the_larger_budget(
    plan_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_file(**SHORT)
    experiment(plan, tmp_path / "out")
    assert read_results(tmp_path / "out").summary.verdicts[0].finding is Finding.UNDECIDED
    asked: list[int | None] = []
    run = CellRunner.run

    def counting(self: CellRunner, cell: Any, items: Any = None) -> Any:
        asked.append(items and sum(map(len, items.values())))
        return run(self, cell, items)

    monkeypatch.setattr(CellRunner, "run", counting)
    experiment(plan, tmp_path / "out", "--extend")
    assert asked
    assert all(count is not None and 0 < count < 40 for count in asked)
    longer = plan_file(**{**SHORT, "generation": {"max_gen_toks": 48}})
    experiment(longer, tmp_path / "whole")
    for name in ("summary.json", "cells.csv", "flips.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert read_results(tmp_path / "out").summary.verdicts[0].finding is Finding.HELPS
    # What lm-eval's own readers look at agrees too: hashes over rows, and means.
    for record in read_results(tmp_path / "out").summary.flips:
        cells = [tmp_path / folder / "cells" / record.key for folder in ("out", "whole")]
        found, whole = (json.loads(next(c.glob("results_*.json")).read_text()) for c in cells)
        assert found["task_hashes"] == whole["task_hashes"]
        for metric in ("exact_match,none", "has_answer,none"):
            assert found["results"]["rvec_tiny"][metric] == whole["results"]["rvec_tiny"][metric]
        assert read_run(cells[0]).tasks.keys() == {"rvec_tiny"}


def test_an_extension_that_was_interrupted_goes_on_at_its_budget(
    plan_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out = plan_file(**SHORT), tmp_path / "out"
    experiment(plan, out)
    run, ran = CellRunner.run, []

    def stopped(self: CellRunner, cell: Any, items: Any = None) -> Any:
        ran.append(cell)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return run(self, cell, items)

    monkeypatch.setattr(CellRunner, "run", stopped)
    assert (
        CliRunner()
        .invoke(rvec, ["experiment", str(plan), "-o", str(out), "-q", "--extend"])
        .exit_code
        == 130
    )
    monkeypatch.setattr(CellRunner, "run", run)
    experiment(plan, out, "--extend")
    assert read_results(out).plan.generation.max_gen_toks == 48


def test_nothing_to_extend(plan_file: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="nothing to extend"):
        experiment(plan_file(**SHORT), tmp_path / "out", "--extend")
    assert not (tmp_path / "out").exists()
