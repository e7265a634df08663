"""Stories and chains: solved by their own steps, in splits that share no content."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from rvec_merge.tasks.generated import chain, story
from rvec_merge.tasks.generated.draw import drawn, split_of

MAKERS = {"story": (story.make, story.SEED), "chain": (chain.make, chain.SEED)}
_STEP = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def items(name: str, split: str, count: int) -> list[dict[str, Any]]:
    make, seed = MAKERS[name]
    return list(drawn(make, split, seed, count))


@pytest.mark.parametrize("name", MAKERS)
def test_every_step_is_right_and_the_last_is_the_answer(name: str) -> None:
    work: dict[str, Callable[[int, int], float]] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
    }
    for item in items(name, "test", 300):
        steps = _STEP.findall(item["solution"])
        assert len(steps) == item["steps"]
        for left, sign, right, result in steps:
            assert work[sign](int(left), int(right)) == int(result), item
        assert steps[-1][3] == item["answer"]


@pytest.mark.parametrize("name", MAKERS)
def test_splits_share_no_content(name: str) -> None:
    keys = {s: {i["key"] for i in items(name, s, 40)} for s in ("train", "validation", "test")}
    for split, found in keys.items():
        assert len(found) == 40
        assert {split_of(key) for key in found} == {split}
    assert items(name, "test", 40) == items(name, "test", 40)
