"""An engine whose change of weights failed. Named to be last: the others use the same engine."""

from typing import Any

import pytest

from rvec_merge.errors import EnvironmentProblem
from rvec_merge.experiment.conditions import State
from tests.experiment.backends.vllm_on_a_cpu import TARGET, VECTOR

pytest.importorskip("vllm")
pytestmark = pytest.mark.timeout(900)


def test_an_engine_is_not_used_again_after_a_change_that_failed(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rvec_merge.experiment.weights import StateWeights

    engine.become(VECTOR)
    real = StateWeights.tensors

    def broken(self: Any, state: State, memory: Any) -> Any:
        for number, item in enumerate(real(self, state, memory)):
            if number == 5:
                raise RuntimeError("the disk is gone")
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(StateWeights, "tensors", broken)
        with pytest.raises(Exception, match="the disk is gone"):
            engine.become(TARGET)
    for state in (TARGET, VECTOR):
        with pytest.raises(EnvironmentProblem, match="not used again"):
            engine.become(state)
