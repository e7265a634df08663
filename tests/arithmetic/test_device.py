"""The device that a user names: one that is here, or one error."""

import pytest
import torch

from rvec_merge.arithmetic.device import device_named
from rvec_merge.errors import EnvironmentProblem


def test_auto_is_cuda_where_there_is_one(monkeypatch):
    assert device_named("cpu") == "cpu"
    for there, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert device_named("auto") == name


@pytest.mark.parametrize("name", ["cuda:99", "tpu7", "no device at all"])
def test_what_is_not_here_is_one_error(name):
    with pytest.raises(EnvironmentProblem, match="There is no device") as caught:
        device_named(name)
    assert "rvec doctor" in caught.value.fix
