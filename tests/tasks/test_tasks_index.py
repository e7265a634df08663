"""Our tasks by name; and why each task of a group has a file of its own."""

from pathlib import Path

from rvec_merge.tasks.tasks_index import list_tasks, stated_budget

GROUP = """\
group: outer
task:
  - task: inner
    dataset_path: json
    dataset_kwargs: {{data_files: {{test: {data}}}}}
    test_split: test
    output_type: generate_until
    doc_to_text: "{{{{q}}}}"
    doc_to_target: "{{{{a}}}}"
"""


def test_every_name_is_there_once_with_its_group_and_budget() -> None:
    entries = {entry.name: entry for entry in list_tasks()}
    assert len(entries) == len(list_tasks())
    assert entries["rvec_gsm8k"].budget == 2048
    navigate = entries["rvec_bbh_cot_zeroshot_navigate"]
    assert (navigate.group, navigate.budget) == ("rvec_bbh_cot_zeroshot", 2048)
    assert stated_budget("rvec_bbh_cot_zeroshot") == 2048  # a group's is its tasks'
    assert stated_budget("nothing of ours") is None


def test_lm_eval_lists_no_task_that_stands_within_its_group(tmp_path: Path) -> None:
    """One file for a group would take its tasks' published names from ``--tasks``."""
    from lm_eval.tasks import TaskManager

    data = tmp_path / "items.jsonl"
    data.write_text('{"q": "1 + 1", "a": "2"}\n')
    (tmp_path / "group.yaml").write_text(GROUP.format(data=data))
    names = TaskManager(include_path=str(tmp_path), include_defaults=False).all_tasks
    assert sorted(names) == ["outer"]
