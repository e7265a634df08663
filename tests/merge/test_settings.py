"""How a merge is carried out: devices, threads, and the same for mergekit."""

import pytest
import torch

from rvec_merge.errors import EnvironmentProblem
from rvec_merge.merge.settings import Settings
from tests.merge.conftest import assert_same_folder, run, text


@pytest.mark.parametrize("settings", [{"num_threads": 1}, {"num_threads": 3}, {"device": "auto"}])
def test_threads_and_device_change_nothing(tmp_path, models, settings):
    first = run(text(models), tmp_path / "a", num_threads=2)
    second = run(text(models), tmp_path / "b", **settings)
    assert_same_folder(tmp_path / "a", tmp_path / "b")
    if not torch.cuda.is_available():
        assert first.effect == second.effect


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there(tmp_path, models, device):
    with pytest.raises(EnvironmentProblem, match="cannot be used"):
        run(text(models), tmp_path / "out", device=device)
    assert list(tmp_path.iterdir()) == []


def test_mergekit_is_given_the_same():
    given = Settings(num_threads=3, shard_size=7, copy_tokenizer=False, random_seed=5).mergekit()
    assert (given.num_threads, given.out_shard_size, given.random_seed) == (3, 7, 5)
    assert (given.copy_tokenizer, given.trust_remote_code, given.device) == (False, False, "cpu")


def test_more_threads_than_help_are_not_taken_unless_asked_for(monkeypatch):
    for cores, workers in ((64, 4), (2, 2), (None, 1)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert Settings().workers == workers
    assert Settings(num_threads=9).workers == 9
