"""Stories: told in words, with every number that the first step needs."""

import re

from rvec_merge.tasks.generated import story
from rvec_merge.tasks.generated.draw import drawn


def test_stories_say_their_numbers() -> None:
    for item in drawn(story.make, "test", story.SEED, 100):
        said = re.findall(r"\d+", item["question"])
        assert re.findall(r"(\d+) [-+*/] \d+ = \d+", item["solution"])[0] in said
