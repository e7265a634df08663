"""Task files: one's own, broken ones, and the local data they read."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval.tasks import TaskManager

from rvec_merge.errors import TaskError
from rvec_merge.tasks.prompts import THINK
from rvec_merge.tasks.tasks_index import include_path
from rvec_merge.tasks.variant_config import BUILT_IN, compose
from rvec_merge.tasks.variants import Variant, load_variant

BASE = {"task": "mine", "base": "gsm8k/gsm8k.yaml", "data": "gsm8k"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"base": "gsm8k/none.yaml"}, "base of a task does not exist"),
        ({"base": "./beside.yaml"}, "needs a task file"),
        ({"promt": "think"}, "key that nothing reads: promt"),
        ({"prompt": "shout"}, "cannot be read"),
        ({"perturbation": {"kind": "typo"}}, "cannot be read"),
        ({"perturbation": {"kind": "typos", "rate": 1}}, "cannot be read"),
        ({"perturbation": {"kind": "numeric"}}, "needs a worked solution"),
        ({"prompt": "think", "cue": "\nReply:"}, "does not end"),
        ({"data": "none"}, "cannot be read"),
    ],
)
def test_a_bad_task_file_is_one_clear_error(config: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        Variant({**BASE, **config})
    assert caught.value.fix


def test_a_file_of_ones_own_stands_on_a_built_in_or_on_a_neighbour(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text((BUILT_IN / "gsm8k" / "gsm8k.yaml").read_text())
    for name, base in (("mine_near", "./base.yaml"), ("mine_far", "gsm8k/gsm8k.yaml")):
        (tmp_path / f"{name}.yaml").write_text(
            f"task: {name}\nclass: !function rvec_merge.tasks.variants.Variant\n"
            f"base: {base}\ndata: gsm8k\nprompt: think\ncue: '\n\n  Answer:'\n"
        )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    near, far = (manager.load([name])["tasks"][name] for name in ("mine_near", "mine_far"))
    ours = load_variant("rvec_gsm8k_think")
    for task in (near, far):
        assert task.config.doc_to_text == ours.config.doc_to_text
        assert list(task.eval_docs) == list(ours.eval_docs)


def test_the_example_in_the_readme_is_a_task() -> None:
    readme = (include_path() / "README.md").read_text(encoding="utf-8")
    example = readme.split("```yaml\n")[1].split("```")[0].replace("!function ", "")
    spec, composed = compose(yaml.safe_load(example))
    assert composed["doc_to_text"] == f"Question: {{{{question}}}}\n{THINK}\nAnswer:"
    assert spec.perturbation is not None
