"""What an experiment will cost, said before it runs."""

from typing import Any

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.experiment.cost import MEASURED, Rate


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(rvec, ["experiment", *map(str, arguments)])


def test_hours_fall_with_speed_and_rise_with_parameters() -> None:
    rate = Rate("hf", "a machine", 100.0, 1_000)
    assert rate.hours(360_000, 1_000) == pytest.approx(1.0)
    assert rate.hours(360_000, 7_000) == pytest.approx(7.0)


def test_the_papers_plan_is_costed_without_data_or_models_for_the_backend_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RVEC_EVAL_DATA", raising=False)
    said = " ".join(invoke("paper-1.5b", "--dry-run").output.split())
    assert "1,500,000,000 parameters, by its name: 6 GB of weights in float32" in said
    assert "hours by what a model of 135 million parameters did (transformers on an H100" in said
    vllm = " ".join(invoke("paper-1.5b", "--dry-run", "--backend", "vllm").output.split())
    assert "hours by what a model of 135 million parameters did (vLLM on two CPU cores" in vllm
    assert "transformers" not in vllm
    assert {rate.backend for rate in MEASURED} == {"hf", "vllm"}
