"""What the cells of one state ask for goes to the engine in one call, the longest first."""

import gzip
import json
from typing import Any

import pytest

from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.engines import local
from rvec_merge.experiment.engines.local import LocalEngine
from rvec_merge.experiment.plan import Plan
from rvec_merge.experiment.runner import CellRunner
from rvec_merge.experiment.tasks import TaskBook
from rvec_merge.recipe.read import read_recipe
from tests.experiment.backends.vllm_on_a_cpu import RECIPE, TARGET, VECTOR

pytest.importorskip("vllm")
pytestmark = pytest.mark.timeout(900)
CELLS = [
    Cell("rvec_tiny", state, prompt) for prompt in ("plain", "think") for state in (TARGET, VECTOR)
]


@pytest.fixture
def calls(engine: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The token budgets of each call of the engine."""
    seen: list[list[int]] = []
    generate = engine._llm.generate

    def spy(prompts: Any, sampling_params: Any, **options: Any) -> Any:
        seen.append([params.max_tokens for params in sampling_params])
        return generate(prompts, sampling_params, **options)

    monkeypatch.setattr(engine._llm, "generate", spy)
    return seen


class Lent:
    """A backend whose model is loaded already."""

    name = "vllm"

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def depends(self, plan: Plan) -> dict[str, str]:
        return {"name": self.name}

    def load(self, *_: Any) -> Any:
        return self._engine


def run(engine: Any, cells: list[Cell], **changes: Any) -> list[Any]:
    settings: dict[str, Any] = {
        "recipe": str(RECIPE),
        "tasks": ["rvec_tiny"],
        "scales": [0.5],
        "selection": {"by": "same_items"},
        "limit": 6,
    }
    plan = Plan(**{**settings, **changes})
    runner = CellRunner(plan, read_recipe(RECIPE), TaskBook(), Lent(engine))
    found = LocalEngine(runner, lambda _: None).run(dict.fromkeys(cells))
    return sorted(found, key=lambda answer: str(answer.cell))


def outputs(answer: Any) -> list[Any]:
    """What a cell's samples file says that was generated."""
    (samples,) = (data for name, data in answer.files.items() if "samples" in name)
    text = gzip.decompress(samples) if samples[:2] == b"\x1f\x8b" else samples
    return [json.loads(line)["resps"] for line in text.decode().splitlines()]


def test_one_call_for_each_state_gives_what_calls_for_each_cell_give(
    engine: Any, calls: list[list[int]]
) -> None:
    together = run(engine, CELLS)
    assert len(calls) == 2
    for budgets in calls:
        assert budgets == sorted(budgets, reverse=True)
    apart = [run(engine, [cell])[0] for cell in sorted(CELLS, key=str)]
    assert len(calls) == 2 + len(CELLS)
    assert [outputs(answer) for answer in together] == [outputs(answer) for answer in apart]
    assert [answer.depends for answer in together] == [answer.depends for answer in apart]
    assert together[0].cell.state == TARGET
    assert outputs(together[0]) != outputs(together[2])


def test_a_call_that_asks_for_enough_ends_there_so_that_an_interrupt_loses_no_more(
    engine: Any, calls: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = run(engine, CELLS)
    calls.clear()
    monkeypatch.setattr(local, "OUTPUTS", 6)
    apart = run(engine, CELLS)
    assert [len(budgets) for budgets in calls] == [6] * len(CELLS)
    assert [outputs(answer) for answer in apart] == [outputs(answer) for answer in together]


def test_samples_of_one_prompt_are_asked_for_together_and_are_those_of_a_cell_alone(
    engine: Any, calls: list[list[int]]
) -> None:
    sampled = {
        "tasks": [{"task": "rvec_tiny", "samples": 3}],
        "generation": {"do_sample": True, "temperature": 1.0},
    }
    cells = [cell for cell in CELLS if cell.state == VECTOR]
    together = run(engine, cells, **sampled)
    assert len(calls) == 1
    apart = [run(engine, [cell], **sampled)[0] for cell in sorted(cells, key=str)]
    assert [outputs(answer) for answer in together] == [outputs(answer) for answer in apart]


def test_what_cannot_be_asked_for_fails_in_its_own_cell(engine: Any) -> None:
    broken = Cell("rvec_tiny", VECTOR, "plain", "no such perturbation")  # type: ignore[arg-type]
    found = run(engine, [*(c for c in CELLS if c.state == VECTOR), broken])
    assert sorted(type(answer).__name__ for answer in found) == ["Evaluated", "Evaluated", "Failed"]
