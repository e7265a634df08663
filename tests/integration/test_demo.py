"""`make demo`, as a user runs it, and its scores against the stock lm-eval command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def demo() -> str:
    run = subprocess.run(
        [str(Path(sys.executable).with_name("rvec")), "demo"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_demo_shows_the_effect_and_a_control_that_has_none(demo):
    rows = {}
    for line in demo.splitlines():
        cells = [cell.strip() for cell in line.split("  ") if cell.strip()]
        if len(cells) > 2 and cells[-1] == "600":
            rows[cells[0]] = cells[1:]
    accuracy = {name: float(cells[0].split("±")[0]) for name, cells in rows.items()}
    assert accuracy["target + 0.5 v"] > accuracy["target"] + 25
    assert accuracy["target − v"] < accuracy["target"] - 8
    assert abs(accuracy["target + 0.5 random"] - accuracy["target"]) < 6


def test_a_second_run_uses_what_is_there(demo):
    run = subprocess.run(
        [str(Path(sys.executable).with_name("rvec")), "demo"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert "Merged before: out/demo/tiny" in run.stdout
    assert "Scored before: target" in run.stdout
    assert "Scoring" not in run.stdout


def test_the_stock_lm_eval_command_gives_the_same_score(demo, tmp_path: Path):
    command = [
        str(Path(sys.executable).with_name("lm_eval")), "run", "--model", "hf",
        "--model_args", "pretrained=out/demo/tiny", "--include_path", "eval/tasks",
        "--tasks", "rvec_tiny", "--apply_chat_template", "--device", "cpu",
        "--batch_size", "100", "--output_path", str(tmp_path),
    ]  # fmt: skip
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, run.stderr
    (results,) = tmp_path.rglob("results_*.json")
    accuracy = json.loads(results.read_text())["results"]["rvec_tiny"]["exact_match,none"]
    shown = next(line for line in demo.splitlines() if line.strip().startswith("target + 0.5 v  "))
    assert f"{100 * accuracy:.1f} ±" in shown
