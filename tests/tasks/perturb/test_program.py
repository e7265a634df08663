"""The embedded family's items, whose answer a program of their own computes."""

import re

from rvec_merge.recipe.resources import folder
from rvec_merge.tasks.local_data import read_items
from rvec_merge.tasks.perturb import program
from rvec_merge.tasks.perturb.items import perturb
from rvec_merge.tasks.perturb.spec import PerturbationSpec, Refusal


def test_the_embedded_familys_program_computes_its_own_answers() -> None:
    path = folder("eval") / "tasks" / "tiny" / "data" / "word_problems_test.jsonl"
    items = read_items(path)[:100]
    numeric = PerturbationSpec(kind="numeric", layout="program")
    for item in items:
        assert [text for text, _ in program.run(item["program"], item["numbers"])] == item["steps"]
        new = perturb(item, numeric)
        assert not isinstance(new, Refusal)
        assert [int(n) for n in re.findall(r"\d+", new["question"])] == new["numbers"]
        assert new["solution"].endswith(f"#### {new['answer']}")
        assert new["numbers"] != item["numbers"]
        moved = perturb(item, PerturbationSpec(kind="shuffle", layout="program"))
        if not item["shufflable"]:
            assert isinstance(moved, Refusal)
        elif not isinstance(moved, Refusal):
            assert moved["question"] != item["question"]
            assert sorted(moved["question"]) == sorted(item["question"])
