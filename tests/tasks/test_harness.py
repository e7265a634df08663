"""Models that think first: what ends it is configured once, for every filter and the answer."""

from rvec_merge.tasks.harness import read_after
from rvec_merge.tasks.variants import load_variant


def test_every_filter_reads_what_follows_once_however_often_it_is_told() -> None:
    task = load_variant("rvec_story")
    before = [len(ensemble.filters) for ensemble in task._filters]
    for _ in range(2):
        read_after(task, "</end>")
    assert [len(ensemble.filters) for ensemble in task._filters] == [n + 1 for n in before]
    first = task._filters[0].filters[0]()
    assert first.apply([["x</end> y", "z"]], [{}]) == [["y", ""]]
