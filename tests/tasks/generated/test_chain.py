"""Chains: one instruction a step, and no value that the next could not use."""

import re

from rvec_merge.tasks.generated import chain
from rvec_merge.tasks.generated.draw import drawn


def test_chains_need_no_words_and_stay_within_two_digits() -> None:
    for item in drawn(chain.make, "test", chain.SEED, 100):
        assert 1 <= item["steps"] <= chain.LONGEST
        assert item["question"].count(".") == 1 + item["steps"]
        values = [int(value) for value in re.findall(r"= (\d+)", item["solution"])]
        assert all(1 <= value <= chain.HIGHEST for value in values)
