"""A card's metadata: bases, licences and results in the Hub's own forms."""

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from rvec_merge.report.card import write_card
from rvec_merge.results.read import Results, read_results
from tests.hub.conftest import over_http
from tests.hub.state import Hub
from tests.report.conftest import refile


def on_the_hub(copy: Path, model: Path, limit: int | None) -> Results:
    """The experiment, as if its models and one of its tasks were the Hub's."""
    head = json.loads((copy / "experiment.json").read_text())
    head["recipe"] = head["recipe"].replace("demo/family/", "org/")
    head["plan"]["limit"] = limit
    (copy / "experiment.json").write_text(json.dumps(head))
    (model / "mergekit_config.yml").write_text(head["recipe"])
    for path in (copy / "cells").glob("*/results_*.json"):
        recorded = json.loads(path.read_text())
        for name, config in recorded["configs"].items():
            if name == "rvec_tiny":
                config |= {"dataset_path": "openai/gsm8k", "dataset_name": "main"}
        path.write_text(json.dumps(recorded))
        refile(path.parent)
    return read_results(copy)


EVAL = """\
name: GSM8K
evaluation_framework: inspect-ai
tasks:
  - {id: gsm8k_main, config: main, split: test, scorers: [{name: match}]}
  - {id: gsm8k_socratic, config: socratic}
"""


@over_http
def test_the_hub_gets_bases_licences_and_result_files(hub: Hub, copy: Path, model: Path) -> None:
    for name in ("target", "grpo", "sft"):
        hub.put(f"org/{name}", {"README.md": b"---\nlicense: mit\n---\n"})
    hub.put("datasets/openai/gsm8k", {"eval.yaml": EVAL.encode()})
    results = on_the_hub(copy, model, limit=None)
    written = write_card(results, model)
    card = ModelCard((model / "README.md").read_text())
    assert card.data.base_model == ["org/target", "org/grpo", "org/sft"]
    assert card.data["base_model_relation"] == "merge"
    assert card.data.datasets is None  # those a model was trained on
    assert card.data.license == written.license == "mit"
    assert "Licence: the inputs" not in card.text
    (path,) = (model / ".eval_results").iterdir()
    assert path in written.paths
    (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert (entry.dataset_id, entry.task_id) == ("openai/gsm8k", "gsm8k_main")
    row = next(r for r in results.summary.rows if r.cell.condition == "target + 0.5 vector")
    assert entry.value == pytest.approx(100 * row.level.mean, abs=1e-4)
    assert "n = 32" in entry.notes
    assert written.off_hub == ("rvec_sciq",)


@over_http
@pytest.mark.parametrize(
    "stated",
    [
        None,
        "name: no tasks",
        "tasks: [{id: a, config: socratic, split: test}, {id: b, config: main, split: train}]",
        "tasks: [{id: a}]",  # the dataset's default configuration, which nobody here knows
        "tasks: [{id: a, config: main}, {id: b, config: main}]",
        "tasks: {id: a}",
        "- [a",
        "tasks: [main, {id: 3, config: main}]",
    ],
)
def test_what_is_no_benchmark_gets_no_result_file(
    hub: Hub, copy: Path, model: Path, stated: str | None
) -> None:
    hub.put("datasets/openai/gsm8k", {"eval.yaml": stated.encode()} if stated else {"x": b""})
    written = write_card(on_the_hub(copy, model, limit=None), model)
    assert not (model / ".eval_results").exists()
    assert written.off_hub == ("rvec_tiny", "rvec_sciq")


def test_without_the_hub_the_card_says_what_it_does_not_know(copy: Path, model: Path) -> None:
    written = write_card(on_the_hub(copy, model, limit=None), model)
    card = ModelCard((model / "README.md").read_text())
    assert card.data.base_model == ["org/target", "org/grpo", "org/sft"]
    assert card.data.license is None
    assert "Licence: the inputs" in card.text
    assert written.off_hub == ("rvec_tiny", "rvec_sciq")


def test_bases_are_plain_ids(copy: Path, model: Path) -> None:
    results = on_the_hub(copy, model, limit=None)
    for path in (copy / "experiment.json", model / "mergekit_config.yml"):
        path.write_text(path.read_text().replace("org/grpo", f"org/grpo@{'0' * 40}"))
    write_card(read_results(copy), model)
    card = ModelCard((model / "README.md").read_text())
    assert card.data.base_model == ["org/target", "org/grpo", "org/sft"]
    assert f"org/grpo@{'0' * 40}" in card.text
    assert results.recipe not in card.text


def test_a_part_of_a_dataset_is_not_passed_off_as_the_whole(copy: Path, model: Path) -> None:
    write_card(on_the_hub(copy, model, limit=32), model)
    assert not (model / ".eval_results").exists()
    assert ModelCard((model / "README.md").read_text()).data.datasets is None
