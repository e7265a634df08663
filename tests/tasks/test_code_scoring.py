"""What generated code scores; ``tests/sandbox`` says what counts as a pass."""

import os

import pytest

from rvec_merge.tasks.code_scoring import complete, complete_fenced, pass_at_1
from rvec_merge.tasks.local_data import read_items, sample_data

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX process limits")


def test_the_samples_own_solutions_pass_and_broken_ones_fail() -> None:
    for item in read_items(sample_data() / "humaneval" / "test.jsonl"):
        tests = f"{item['test']}\ncheck({item['entry_point']})"
        right = complete([[item["canonical_solution"]]], [item])
        fenced = complete_fenced([[item["canonical_solution"] + "```\nDone."]], [item])
        wrong = complete([["    return None\n"]], [item])
        assert pass_at_1([tests], right) == {"pass@1": 1.0}
        assert fenced == right
        assert pass_at_1([tests], wrong) == {"pass@1": 0.0}


def test_several_programs_are_averaged() -> None:
    assert pass_at_1(["assert x"], [["x = 1", "x = 0"]]) == {"pass@1": 0.5}
