"""SciQ with lettered choices: one letter is read, and the right one has no fixed place."""

import pytest

from rvec_merge.tasks.variants import load_variant


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Plants need it. The answer is B.", "B"),
        ("The answer is (C)", "C"),
        ("the answer is: D, I think", "D"),
        ("A plant does. The answer is oxygen.", "[invalid]"),
    ],
)
def test_the_generative_sciq_reads_a_letter(text: str, letter: str) -> None:
    task = load_variant("rvec_sciq_generative")
    task.set_fewshot_seed(0)
    task.build_all_requests(limit=1)
    task.instances[0].resps = [text]
    task.apply_filters()
    assert task.instances[0].filtered_resps["strict-match"] == letter
    letters = {row["letter"] for row in task.eval_docs}
    assert len(letters) > 1, "the right choice must not have one place"
