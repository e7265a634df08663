"""Stock ``lm_eval run`` with our tasks, from elsewhere, offline."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rvec_merge.tasks.tasks_index import include_path

pytestmark = pytest.mark.slow
TASKS = {
    "rvec_gsm8k_think": "exact_match,strict-match",
    "rvec_sciq": "acc,none",
    "rvec_bbh_cot_fewshot_web_of_lies_think_shuffle": "exact_match,answer",
    "rvec_humaneval_think_typos": "pass@1,create_test",
    "rvec_tiny_numeric": "exact_match,none",
}


def test_stock_lm_eval_runs_our_tasks(tmp_path: Path, byte_model: Path) -> None:
    command = [
        sys.executable, "-m", "lm_eval", "run", "--include_path", str(include_path()),
        "--tasks", *TASKS, "--model", "hf", "--model_args", f"pretrained={byte_model}",
        "--device", "cpu", "--limit", "2", "--gen_kwargs", "max_gen_toks=4",
        "--confirm_run_unsafe_code", "--log_samples", "--output_path", str(tmp_path / "out"),
    ]  # fmt: skip
    environment = {**os.environ, "RVEC_EVAL_DATA": "sample", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (tmp_path / "out").rglob("results_*.json")
    results = json.loads(path.read_text())
    for task, metric in TASKS.items():
        assert metric in results["results"][task]
    assert results["configs"]["rvec_gsm8k_think"]["metadata"]["prompt"] == "think"
    (samples,) = (tmp_path / "out").rglob("samples_rvec_humaneval_think_typos_*.jsonl")
    row = json.loads(samples.read_text().splitlines()[0])
    assert row["arguments"]["gen_args_0"]["arg_0"].startswith("# Think step by step.\n")
    assert row["doc"]["orig_id"] == 0
