"""Experiments in folders that were damaged, on disks that fill, and outside of everything."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import CheckpointError, ResultsError, TaskError
from rvec_merge.experiment.store import Store

from .conftest import REPOSITORY

FINDINGS = ("summary.json", "summary.md", "cells.csv", "experiment.json")


def test_what_is_not_as_it_was_filed_runs_again(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    local: Callable[[Path, Path], Any],
    finished: Any,
) -> None:
    out = Path(shutil.copytree(finished.folder, tmp_path / "out"))
    empty, cut, corrupt, lacking, whole, *_ = sorted((out / "cells").iterdir())
    (empty / "cell.json").write_text("")
    for cell, change in ((cut, lambda data: data[:-20]), (corrupt, lambda data: data[::-1])):
        (samples,) = cell.glob("samples_*")
        samples.write_bytes(change(samples.read_bytes()))
    next(lacking.glob("results_*")).unlink()
    (out / "experiment.json").write_text((out / "experiment.json").read_text()[:200])
    (out / "summary.json").write_text("{")
    log = local(plan_file(), out)
    assert len(log.begun) == 4
    assert Store(out).find(whole.name) is not None
    for name in FINDINGS:
        assert (out / name).read_bytes() == (finished.folder / name).read_bytes()


def test_a_disk_that_fills_keeps_what_is_finished(
    plan_file: Callable[..., Path],
    tmp_path: Path,
    local: Callable[[Path, Path], Any],
    cells_in: Callable[[Path], list[str]],
    finished: Any,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        room = sum(p.stat().st_size for p in finished.folder.glob("cells/*/*")) // 2
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - room))
        out = disk / "out"
        done = CliRunner().invoke(rvec, ["experiment", str(plan_file()), "-o", str(out)])
        assert isinstance(done.exception, ResultsError), done.output
        assert done.exception.headline == "The disk is full."
        kept = cells_in(out)
        assert 0 < len(kept) < 11
        assert not list(out.rglob("*.part"))
        assert not list(out.glob("cells/.writing-*"))
        (disk / "ballast").unlink()
        assert len(local(plan_file(), out).begun) == 11 - len(kept)
        for name in FINDINGS:
            assert (out / name).read_bytes() == (finished.folder / name).read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_outside_a_checkout_git_says_nothing(
    plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    """In a process of its own, since what it prints there is another program's."""
    few = {"scales": [1.0], "forced_steps": False, "perturbations": [], "limit": 4}
    few |= {"controls": {"random": 0, "permuted": 0}}
    plan = plan_file(recipe=str(REPOSITORY / "recipes/tiny.yaml"), **few)
    (tmp_path / "demo").symlink_to(REPOSITORY / "demo")
    outside = ["git", "rev-parse", "--git-dir"]
    if shutil.which("git") is None or subprocess.run(outside, cwd=tmp_path).returncode == 0:
        pytest.skip("git is not here, or this folder is a checkout")
    code = "from rvec_merge.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "experiment", plan, "-o", tmp_path / "out"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("[")] == []


def test_data_that_cannot_be_fetched(
    plan_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RVEC_EVAL_DATA", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    plan = plan_file(tasks=["rvec_gsm8k"], scales=[1.0], selection={"by": "same_items"})
    for arguments in (
        ["experiment", str(plan), "-o", str(tmp_path / "out")],
        ["perturb", "rvec_gsm8k_typos", str(tmp_path / "out")],
    ):
        done = CliRunner().invoke(rvec, arguments)
        assert isinstance(done.exception, TaskError), done.output
        assert done.exception.headline.startswith("The data of the task rvec_gsm8k")
        assert "openai/gsm8k" in done.exception.facts[0]
        assert "RVEC_EVAL_DATA" in done.exception.fix
    assert not (tmp_path / "out").exists()


def test_a_task_that_cannot_be_built(
    plan_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = plan_file(tasks=["rvec_gsm8k"], scales=[1.0], selection={"by": "same_items"})
    monkeypatch.setenv("RVEC_EVAL_DATA", str(tmp_path))
    (tmp_path / "gsm8k").mkdir()
    for row, said in (
        ('{"question": "q", "answer": "#### 1"}\n{"question": 1, "answer": []}\n', "several kinds"),
        ('{"answer": "#### 1"}\n{"answer": "#### 1"}\n', "cannot be built"),
        ("[" * 10_000, "not an item like the others"),
        ("\x00", "not an item like the others"),
    ):
        for split in ("train", "test"):
            (tmp_path / "gsm8k" / f"{split}.jsonl").write_text(row)
        out = tmp_path / "out"
        done = CliRunner().invoke(rvec, ["experiment", str(plan), "-o", str(out)])
        assert not out.exists()
        assert isinstance(done.exception, TaskError), (row, done.output)
        assert said in done.exception.headline


def test_a_target_that_transformers_cannot_load(
    plan_file: Callable[..., Path], tmp_path: Path, local: Callable[[Path, Path], Any]
) -> None:
    target = shutil.copytree(REPOSITORY / "demo/family/target", tmp_path / "target")
    (target / "tokenizer.json").write_text('{"version": "1.0"}')
    recipe = tmp_path / "recipe.yaml"
    text = (REPOSITORY / "recipes/tiny.yaml").read_text()
    recipe.write_text(text.replace("demo/family/target", str(target)))
    with pytest.raises(CheckpointError, match="transformers cannot load a model"):
        local(plan_file(recipe=str(recipe)), tmp_path / "out")
