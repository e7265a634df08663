"""What is changed in lm-eval: where thinking ends, for every filter; one look at the machine."""

import pytest

from rvec_merge.tasks.harness import one_look_at_the_machine, read_after
from rvec_merge.tasks.variants import load_variant


def test_every_filter_reads_what_follows_once_however_often_it_is_told() -> None:
    task = load_variant("rvec_story")
    before = [len(ensemble.filters) for ensemble in task._filters]
    for _ in range(2):
        read_after(task, "</end>")
    assert [len(ensemble.filters) for ensemble in task._filters] == [n + 1 for n in before]
    first = task._filters[0].filters[0]()
    assert first.apply([["x</end> y", "z"]], [{}]) == [["y", ""]]


def test_the_machine_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import lm_eval.evaluator as evaluator
    import torch.utils.collect_env as collect_env

    looks = []

    def describe() -> str:
        looks.append(1)
        return "a machine"

    monkeypatch.setattr(collect_env, "get_pretty_env_info", describe)
    before = evaluator.get_git_commit_hash
    for _ in range(2):
        with one_look_at_the_machine():
            assert collect_env.get_pretty_env_info() == "a machine"
            assert evaluator.get_git_commit_hash() == evaluator.get_git_commit_hash()
    assert looks == [1]
    assert collect_env.get_pretty_env_info is describe
    assert evaluator.get_git_commit_hash is before
